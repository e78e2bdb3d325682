//! Each source of credentials against a stand-in of its service, which sees what is really sent.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::base::{BucketName, Clock};
use crate::store::{Dialect, ErrorKind, Options};

const KEYS: &str = r#"{"Code":"Success","AccessKeyId":"STS.id","AccessKeySecret":"s3cr3t-key","SecurityToken":"t0ken",
    "Expiration":"2099-02-28T13:00:00Z"}"#;

/// Line and headers of a request in lower case, but for the line; then its body.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    headers: String,
    body: String,
}

/// A service on loopback that answers with what a function makes of a request; it ends with the runtime.
struct StandIn {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    async fn start(answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, record) = (Arc::new(answer), seen.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer.clone(), record.clone()));
            }
        });
        StandIn { url, seen }
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.line.clone()).collect()
    }
}

async fn serve(mut socket: TcpStream, answer: Arc<impl Fn(&Seen) -> (u16, String)>, record: Arc<Mutex<Vec<Seen>>>) {
    let mut bytes = Vec::new();
    let seen = loop {
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let (line, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.to_lowercase();
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            break Seen { line: line.to_owned(), headers, body: body.to_owned() };
        }
    };
    record.lock().push(seen.clone());
    let (status, text) = answer(&seen);
    let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    let _ = socket.write_all(answer.as_bytes()).await;
}

fn web() -> Web {
    Web { ca_bundle: None, proxy: None, bind: Vec::new(), user_agent: "ossmount-test".into(), clock: Clock::system() }
}

async fn ask(source: &Source) -> crate::store::Result<Arc<Credentials>> {
    source.provider(&web()).unwrap().credentials().await
}

async fn finds_the_keys(source: &Source) {
    let found = ask(source).await.unwrap();
    assert_eq!((found.access_key_id(), found.secret(), found.token()), ("STS.id", "s3cr3t-key", Some("t0ken")));
    assert!(found.expires().is_some());
}

async fn refused(source: &Source, says: &str) {
    let error = ask(source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(error.to_string().contains(says), "{error}");
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}

fn ecs(service: &StandIn, role: Option<&str>) -> Source {
    Source::EcsRole { endpoint: service.url.clone(), role: role.map(str::to_owned) }
}

fn metadata(knows_tokens: bool) -> impl Fn(&Seen) -> (u16, String) {
    move |seen| match seen.line.as_str() {
        "PUT /latest/api/token HTTP/1.1" if knows_tokens => (200, "metadata-token".into()),
        "PUT /latest/api/token HTTP/1.1" => (404, String::new()),
        _ if knows_tokens && !seen.headers.contains("x-aliyun-ecs-metadata-token: metadata-token") => {
            (403, "no".into())
        }
        "GET /latest/meta-data/ram/security-credentials/ HTTP/1.1" => (200, "its-role\n".into()),
        "GET /latest/meta-data/ram/security-credentials/its-role HTTP/1.1" => (200, KEYS.into()),
        _ => (404, String::new()),
    }
}

#[tokio::test]
async fn an_instance_is_asked_for_its_role_with_a_token_where_it_knows_tokens() {
    for knows_tokens in [true, false] {
        let service = StandIn::start(metadata(knows_tokens)).await;
        finds_the_keys(&ecs(&service, None)).await;
        assert_eq!(service.lines().len(), 3, "{:?}", service.lines());
        let named = StandIn::start(metadata(knows_tokens)).await;
        finds_the_keys(&ecs(&named, Some("its-role"))).await;
        assert_eq!(named.lines().len(), 2, "{:?}", named.lines());
        refused(&ecs(&named, Some("another")), "404").await;
        refused(&ecs(&named, Some("../user-data")), "not the name of a role").await;
    }
    let roleless = StandIn::start(|_| (200, "\n".into())).await;
    refused(&ecs(&roleless, None), "no RAM role").await;
}

#[tokio::test]
async fn an_instance_of_ec2_is_asked_for_its_role() {
    let service = StandIn::start(|seen| match seen.line.as_str() {
        "PUT /latest/api/token HTTP/1.1" if seen.headers.contains("x-aws-ec2-metadata-token-ttl-seconds: 21600") => {
            (200, "metadata-token".into())
        }
        _ if !seen.headers.contains("x-aws-ec2-metadata-token: metadata-token") => (401, String::new()),
        "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" => (200, "its-role\n".into()),
        "GET /latest/meta-data/iam/security-credentials/its-role HTTP/1.1" => {
            (200, KEYS.replace("AccessKeySecret", "SecretAccessKey").replace("SecurityToken", "Token"))
        }
        _ => (404, String::new()),
    })
    .await;
    finds_the_keys(&Source::Ec2Role { endpoint: service.url.clone(), role: None }).await;
    refused(&Source::Ec2Role { endpoint: service.url.clone(), role: Some("another".into()) }, "EC2 role").await;
    let roleless = StandIn::start(|_| (200, "\n".into())).await;
    refused(&Source::Ec2Role { endpoint: roleless.url.clone(), role: None }, "attach an instance profile").await;
}

#[tokio::test]
async fn single_sign_on_gives_keys_for_the_token_of_the_login() {
    let service = StandIn::start(|seen| match seen.headers.contains("x-amz-sso_bearer_token: t0ken-of-login") {
        true => (
            200,
            r#"{"roleCredentials":{"accessKeyId":"STS.id","secretAccessKey":"s3cr3t-key","sessionToken":"t0ken",
                "expiration":4070908800000}}"#
                .into(),
        ),
        false => (401, String::new()),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("login.json");
    let source = || Source::Sso {
        endpoint: service.url.clone(),
        account: "123".into(),
        role: "Read Only".into(),
        token_file: token_file.clone(),
        profile: "corp".into(),
    };
    let login = |token: &str, ends: &str| {
        std::fs::write(&token_file, format!(r#"{{"accessToken":"{token}","expiresAt":"{ends}"}}"#)).unwrap();
    };
    refused(&source(), "there is no login").await;
    std::fs::write(&token_file, "s3cr3t").unwrap();
    refused(&source(), "holds no login: run aws sso login --profile corp").await;
    login("s3cr3t-of-login", "2001-01-01T00:00:00Z");
    refused(&source(), "the login has ended: run aws sso login --profile corp").await;
    login("s3cr3t-of-login", "2099-01-01T00:00:00Z");
    refused(&source(), "the login is not accepted: run aws sso login --profile corp").await;
    login("t0ken-of-login", "2099-01-01T00:00:00Z");
    finds_the_keys(&source()).await;
    let line = service.lines().pop().unwrap();
    assert_eq!(line, "GET /federation/credentials?role_name=Read%20Only&account_id=123 HTTP/1.1");
}

#[tokio::test]
async fn a_service_that_is_not_there_or_never_answers_is_said_to_be() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = format!("http://{gone}");
    refused(&Source::EcsRole { endpoint: endpoint.clone(), role: None }, "no credentials for the ECS role").await;
    refused(&Source::Uri { url: endpoint, authorization: Authorization::None }, "the request to").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    refused(&Source::EcsRole { endpoint, role: None }, "did not answer within 2 s").await;
    for url in ["ftp://host/", "host", "http://user:pass@host/", ""] {
        refused(&Source::Uri { url: url.into(), authorization: Authorization::None }, "is not a URL").await;
    }
}

#[tokio::test]
async fn a_url_is_asked_with_the_authorization_it_wants() {
    let service = StandIn::start(|seen| match seen.headers.contains("authorization: bearer it") {
        true => (200, KEYS.into()),
        false => (401, r#"{"Code":"Unauthorized","Message":"who are you?","AccessKeySecret":"s3cr3t"}"#.into()),
    })
    .await;
    let url = format!("{}/keys?for=me", service.url);
    let source = |authorization| Source::Uri { url: url.clone(), authorization };
    refused(&source(Authorization::None), "401: Unauthorized, who are you?").await;
    finds_the_keys(&source(Authorization::Text(zeroize::Zeroizing::new("Bearer it".into())))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    refused(&source(Authorization::File(path.clone())), "cannot be read").await;
    std::fs::write(&path, "Bearer it\n").unwrap();
    finds_the_keys(&source(Authorization::File(path))).await;
    assert_eq!(service.lines()[0], "GET /keys?for=me HTTP/1.1");
}

fn role(service: &StandIn) -> Role {
    Role {
        endpoint: service.url.clone(),
        arn: "acs:ram::1:role/reader".into(),
        session: "ossmount".into(),
        duration_seconds: 900,
        external_id: None,
    }
}

fn granted() -> String {
    format!(r#"{{"RequestId":"r","Credentials":{}}}"#, KEYS.replace(r#""Code":"Success","#, ""))
}

#[tokio::test]
async fn a_token_in_a_file_takes_a_role_on_and_is_read_anew() {
    let service = StandIn::start(|seen| match seen.body.contains("OIDCToken=second") {
        true => (200, granted()),
        false => (400, r#"{"Code":"AuthenticationFail.OIDCToken.Expired","Message":"expired"}"#.into()),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "first").unwrap();
    let provider_arn = "acs:ram::1:oidc-provider/cluster".to_owned();
    let source = Source::Oidc { role: role(&service), provider_arn, token_file: token_file.clone() };
    refused(&source, "400: AuthenticationFail.OIDCToken.Expired, expired").await;
    std::fs::write(&token_file, "second\n").unwrap();
    finds_the_keys(&source).await;
    let seen = service.seen.lock()[1].clone();
    assert!(seen.line.starts_with("POST /?Action=AssumeRoleWithOIDC&Format=JSON&Timestamp="), "{seen:?}");
    assert!(seen.headers.contains("content-type: application/x-www-form-urlencoded"), "{seen:?}");
    assert_eq!(
        seen.body,
        "DurationSeconds=900&OIDCProviderArn=acs%3Aram%3A%3A1%3Aoidc-provider%2Fcluster&OIDCToken=second\
         &RoleArn=acs%3Aram%3A%3A1%3Arole%2Freader&RoleSessionName=ossmount"
    );
    std::fs::write(&token_file, "x".repeat(30_000)).unwrap();
    refused(&source, "larger than").await;
}

#[tokio::test]
async fn a_web_identity_takes_a_role_of_s3_on() {
    let service = StandIn::start(|seen| match seen.body.contains("WebIdentityToken=second") {
        true => (
            200,
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken><Credentials>\
             <SessionToken>t0ken</SessionToken><SecretAccessKey>s3cr3t-key</SecretAccessKey>\
             <Expiration>2099-02-28T13:00:00Z</Expiration><AccessKeyId>STS.id</AccessKeyId></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
                .into(),
        ),
        false => (
            400,
            "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>it ended</Message>\
             </Error><RequestId>s3cr3t</RequestId></ErrorResponse>"
                .into(),
        ),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "first").unwrap();
    let source = Source::WebIdentity { role: role(&service), token_file: token_file.clone() };
    refused(&source, "400: ExpiredTokenException, it ended").await;
    std::fs::write(&token_file, "second\n").unwrap();
    finds_the_keys(&source).await;
    let seen = service.seen.lock()[1].clone();
    assert_eq!(seen.line, "POST / HTTP/1.1");
    assert_eq!(
        seen.body,
        "Action=AssumeRoleWithWebIdentity&DurationSeconds=900&RoleArn=acs%3Aram%3A%3A1%3Arole%2Freader\
         &RoleSessionName=ossmount&Version=2011-06-15&WebIdentityToken=second"
    );
    let odd = StandIn::start(|_| (200, "<Result>s3cr3t</Result>".into())).await;
    refused(&Source::WebIdentity { role: role(&odd), token_file }, "is not XML with AccessKeyId").await;
    assert_eq!(s3_sts_endpoint(Some("eu-west-1")), "https://sts.eu-west-1.amazonaws.com");
    assert_eq!(s3_sts_endpoint(Some("cn-north-1")), "https://sts.cn-north-1.amazonaws.com.cn");
}

#[tokio::test]
async fn other_credentials_take_a_role_on() {
    let service = StandIn::start(|seen| match seen.body.contains("AccessKeyId=AKID&Action=AssumeRole&") {
        true => (200, granted()),
        false => (403, String::new()),
    })
    .await;
    let source = Box::new(Source::Static(Credentials::new("AKID", "s3cr3t-key")));
    finds_the_keys(&Source::AssumeRole { role: role(&service), source }).await;
    assert!(!service.seen.lock()[0].body.contains("s3cr3t"));
    let source = Box::new(Source::File { path: "/nonexistent/keys".into(), which: Which::default() });
    refused(&Source::AssumeRole { role: role(&service), source }, "/nonexistent/keys").await;
}

#[tokio::test]
async fn other_credentials_take_a_role_of_s3_on() {
    let service = StandIn::start(|seen| {
        let is_signed = seen.headers.contains("authorization: aws4-hmac-sha256 credential=akid/")
            && seen.headers.contains("/us-east-1/sts/aws4_request,signedheaders=content-type;host;x-amz-content-sha256")
            && seen.headers.contains("x-amz-security-token: first-token");
        let keys = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>STS.id</AccessKeyId>\
                    <SecretAccessKey>s3cr3t-key</SecretAccessKey><SessionToken>t0ken</SessionToken>\
                    <Expiration>2099-02-28T13:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        if is_signed { (200, keys.into()) } else { (403, String::new()) }
    })
    .await;
    let role = Role { arn: "arn:aws:iam::1:role/r".into(), external_id: Some("x y".into()), ..role(&service) };
    let keys = Credentials::new("AKID", "s3cr3t-key").with_token(Some("first-token".into()));
    finds_the_keys(&Source::AssumeRole { role, source: Box::new(Source::Static(keys)) }).await;
    assert_eq!(
        service.seen.lock()[0].body,
        "Action=AssumeRole&DurationSeconds=900&ExternalId=x%20y&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr\
         &RoleSessionName=ossmount&Version=2011-06-15"
    );
}

#[tokio::test]
async fn a_program_prints_credentials() {
    let source = |command: &str| Source::Process(command.to_owned());
    finds_the_keys(&source(&format!("echo '{}'", KEYS.replace('\n', " ")))).await;
    refused(&source("echo s3cr3t; exit 3"), "exit status: 3").await;
    refused(&source("echo s3cr3t"), "is not JSON").await;
    refused(&source("exec head -c 100000 /dev/zero"), "far larger than").await;
}

/// Under load and with keys of seconds: no request ever gets keys that have ended, and few requests are made.
#[tokio::test]
async fn keys_of_seconds_serve_a_load_without_a_gap() {
    let clock = Clock::manual(Timestamp::from_unix(4_000_000_000));
    let at = clock.clone();
    let service = StandIn::start(move |_| {
        let expires = jiff::Timestamp::from_second(at.now().seconds + 4).unwrap();
        (200, format!(r#"{{"AccessKeyId":"id","AccessKeySecret":"s","SecurityToken":"t","Expiration":"{expires}"}}"#))
    })
    .await;
    let web = Web { clock: clock.clone(), ..web() };
    let source = Source::Uri { url: service.url.clone(), authorization: Authorization::None };
    let provider = source.provider(&web).unwrap();
    for _ in 0..200 {
        clock.advance(Duration::from_millis(100));
        for _ in 0..20 {
            let keys = provider.credentials().await.unwrap();
            assert!(keys.expires().unwrap() > clock.now());
        }
    }
    let asked = service.lines().len();
    assert!((5..=20).contains(&asked), "{asked} requests in 20 s of keys that live 4 s");
}

#[test]
fn profiles_tell_the_way_to_other_sources() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let text = r#"{"current":"keys","profiles":[
        {"name":"keys","mode":"AK","access_key_id":"a","access_key_secret":"s3cr3t"},
        {"name":"ecs","mode":"EcsRamRole","ram_role_name":"its-role"},
        {"name":"arn","mode":"RamRoleArn","access_key_id":"a","access_key_secret":"s3cr3t","ram_role_arn":"acs:r",
         "ram_session_name":"me","expired_seconds":900,"sts_region":"cn-beijing"},
        {"name":"chain","mode":"ChainableRamRoleArn","source_profile":"keys","ram_role_arn":"acs:r"},
        {"name":"oidc","mode":"OIDC","oidc_provider_arn":"acs:p","oidc_token_file":"/t","ram_role_arn":"acs:r"},
        {"name":"run","mode":"External","process_command":"print-keys"},
        {"name":"uri","mode":"CredentialsURI","credentials_uri":"http://127.0.0.1:9/k?secret=1"},
        {"name":"cloud","mode":"CloudSSO"}]}"#;
    std::fs::write(&path, text).unwrap();
    let told = |profile: &str| {
        let which = Which { profile: Some(profile.into()), bucket: "b".into() };
        Source::from_file(path.clone(), which).map(|source| source.describe()).map_err(|error| error.to_string())
    };
    let file = format!("the file {}", path.display());
    assert_eq!(told("keys").unwrap(), file);
    assert_eq!(told("ecs").unwrap(), "the RAM role its-role of this ECS instance");
    assert_eq!(told("arn").unwrap(), "the role acs:r with the access key a");
    assert_eq!(told("chain").unwrap(), format!("the role acs:r with {file}"));
    assert_eq!(told("oidc").unwrap(), "the role acs:r with the token in /t");
    assert_eq!(told("run").unwrap(), "a program (credentials-process)");
    assert_eq!(told("uri").unwrap(), "the service at http://127.0.0.1:9/k");
    assert!(told("cloud").unwrap_err().contains("CloudSSO, which is not known here"));
    assert_eq!(told("none").unwrap(), file, "it may come to be there; until then its absence is said when it is used");
    assert_eq!(sts_endpoint(Some("cn-beijing")), "https://sts.cn-beijing.aliyuncs.com");
}

#[tokio::test]
async fn stores_of_the_same_options_run_a_program_for_keys_once() {
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let mut options = Options::new(Dialect::Oss, BucketName::new("b"));
    (options.endpoint, options.region) = (Some("http://127.0.0.1:1".into()), Some("cn-x".into()));
    let key = r#"{"AccessKeyId":"a","AccessKeySecret":"b"}"#;
    options.credentials = Source::Process(format!("echo x >> {}; echo '{key}'", ran.display()));
    let clock = Clock::system();
    let stores = [options.clone(), options.clone()]
        .map(|options| crate::store::connect(options, Arc::default(), clock.clone()).unwrap());
    let [one, other] = &stores;
    let (one, other) = tokio::join!(one.credentials_there(), other.credentials_there());
    one.and(other).unwrap();
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "x\n");
    options.credentials = Source::Process(format!("echo y >> {}; echo '{key}'", ran.display()));
    crate::store::connect(options, Arc::default(), clock).unwrap().credentials_there().await.unwrap();
    assert_eq!(std::fs::read_to_string(&ran).unwrap(), "x\ny\n", "another program");
}

#[test]
fn debug_shows_no_secret() {
    let credentials = Credentials::new("AKID", "s3cr3t-key").with_token(Some("t0ken".into()));
    let mut options = Options::new(Dialect::Oss, BucketName::new("b"));
    options.credentials = Source::Static(credentials.clone());
    let provider = options.credentials.provider(&web());
    for shown in [format!("{credentials:?}"), format!("{options:#?}"), format!("{provider:?}")] {
        assert!(shown.contains("AKID"), "{shown}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("t0ken"), "{shown}");
    }
    let authorization = Authorization::Text(zeroize::Zeroizing::new("t0ken".into()));
    let shown = format!("{:?}", Source::Uri { url: "http://h/".into(), authorization });
    assert!(!shown.contains("t0ken"), "{shown}");
}
