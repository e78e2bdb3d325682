//! Access keys stay with the daemon: whatever it prints, writes down, passes on or tells, they are not in it.
//!
//! A daemon gets keys from each source there is, logs all it can, and meets every kind of failure. Then everything that
//! another user could come to see of it is searched.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ossmount::base::Clock;
use ossmount::emulator::{Account, Emulator, Fault, FaultKind, Options};

use crate::support::program::{Running, Target, Tool, until};

const ID: &str = "STS.id-that-may-be-seen";
const SECRET: &str = "s3cr3t-of-the-key";
const TOKEN: &str = "t0ken-of-the-key";
/// Of the program or service that hands out keys.
const TICKET: &str = "t1cket-of-a-cluster";

/// Where keys come from: options, variables and files that a daemon needs for them.
struct Given {
    options: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// What the program of `credentials-process` has written of its own environment and command line.
    seen_by_child: Option<PathBuf>,
}

impl Given {
    fn options(options: &[String]) -> Given {
        Given { options: options.to_vec(), variables: Vec::new(), seen_by_child: None }
    }
}

fn from_environment(_: &Target) -> Given {
    let variables = [("OSS_ACCESS_KEY_ID", ID), ("OSS_ACCESS_KEY_SECRET", SECRET), ("OSS_SESSION_TOKEN", TOKEN)];
    Given { variables: variables.map(|(name, value)| (name, value.to_owned())).to_vec(), ..Given::options(&[]) }
}

fn json() -> String {
    let ends = jiff::Timestamp::from_second(Clock::system().now().seconds + 3600).unwrap();
    format!(r#"{{"AccessKeyId":"{ID}","AccessKeySecret":"{SECRET}","SecurityToken":"{TOKEN}","Expiration":"{ends}"}}"#)
}

fn written(target: &Target, name: &str, text: &str) -> String {
    let path = target.beside(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn from_file(target: &Target) -> Given {
    Given::options(&["--credentials-file".into(), written(target, "keys.json", &json())])
}

fn from_program(target: &Target) -> Given {
    let (keys, seen) = (written(target, "keys.json", &json()), target.beside("seen"));
    let command = format!("tr '\\0' '\\n' < /proc/$$/environ > {0}; cat {keys}", seen.display());
    Given { seen_by_child: Some(seen), ..Given::options(&["--credentials-process".into(), command]) }
}

fn from_role(target: &Target) -> Given {
    let url = serve(format!(r#"{{"RequestId":"r","Credentials":{}}}"#, json()));
    let variables = vec![
        ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/reader".to_owned()),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/cluster".to_owned()),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", written(target, "token", TICKET)),
    ];
    Given { variables, ..Given::options(&["--sts-endpoint".into(), url]) }
}

fn from_role_with_keys(_: &Target) -> Given {
    let url = serve(format!(r#"{{"RequestId":"r","Credentials":{}}}"#, json()));
    let variables = vec![("OSS_ACCESS_KEY_ID", "AK".to_owned()), ("OSS_ACCESS_KEY_SECRET", TICKET.to_owned())];
    let options = ["--role-arn", "acs:ram::1:role/reader", "--sts-endpoint", &url].map(str::to_owned);
    Given { variables, ..Given::options(&options) }
}

/// A service on loopback that answers every request with this text, for as long as the test runs.
fn serve(text: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    url
}

/// Everything that was seen of a daemon, each with where.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn add(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.0.push((what.into(), text.into()));
    }

    fn add_file(&mut self, path: &Path) {
        self.add(path.display().to_string(), String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
    }

    fn holds_no_secret(&self) {
        for (what, text) in &self.0 {
            for secret in [SECRET, TOKEN, TICKET] {
                assert!(!text.contains(secret), "{what} shows {secret}: {text}");
            }
        }
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|(_, text)| text.contains(word))
    }
}

fn bucket() -> Emulator {
    let mut account = Account::new(ID, SECRET).with_token(TOKEN);
    account.expires = Some(Clock::system().now().plus_seconds(3600));
    let server = Emulator::start(Options { credentials: vec![account], ..Options::default() }).unwrap();
    server.create_bucket("bucket");
    server.put("bucket", "a.txt", "alpha\n");
    for name in ["refused", "busy", "reset", "stalled", "unwilling", "changed"] {
        server.put("bucket", name, vec![b'x'; 300_000]);
    }
    server
}

/// Failures of every kind, the last of which comes from a clock that makes the service refuse what is signed.
fn suffer(server: &Emulator, target: &Target) {
    let once = |kind, key: &str| Fault { times: Some(2), ..Fault::always(kind) }.for_keys_with(key);
    server.set_faults(vec![
        Fault::always(FaultKind::ClockSkewed(90_000)).for_keys_with("refused"),
        once(FaultKind::Throttle(Duration::from_millis(1)), "busy"),
        once(FaultKind::Status500, "unwilling"),
        once(FaultKind::ResetInBody, "reset"),
        once(FaultKind::Stall(Duration::from_millis(300)), "stalled"),
        Fault::always(FaultKind::ChangedEtag).for_keys_with("changed"),
    ]);
    for name in ["busy", "unwilling", "reset", "stalled", "changed"] {
        assert_eq!(fs::read(target.path(name)).unwrap().len(), 300_000, "{name}");
    }
    fs::read(target.path("refused")).unwrap_err();
}

/// What the process shows to others.
fn look_at_the_process(pid: u32, seen: &mut Seen) {
    for name in ["cmdline", "status", "maps", "mountinfo", "comm"] {
        seen.add_file(&PathBuf::from(format!("/proc/{pid}/{name}")));
    }
    for folder in ["/run/ossmount", "/tmp"] {
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            if file.file_name().to_string_lossy().contains(&pid.to_string()) {
                seen.add_file(&file.path());
            }
        }
    }
}

/// The limit alone does not hold where cores are piped to a program; a process that is not dumpable belongs to root in
/// `/proc`, so that no other user reads its memory or environment either.
fn leaves_no_core_and_is_closed(pid: u32) {
    use std::os::unix::fs::MetadataExt;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let environ = fs::metadata(format!("/proc/{pid}/environ")).unwrap();
    assert_eq!((environ.uid(), environ.mode() & 0o077), (0, 0));
}

fn keeps_secrets(format: &str, given: impl FnOnce(&Target) -> Given) {
    let (server, target) = (bucket(), Target::new());
    let given = given(&target);
    let mut tool = Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    for (name, value) in &given.variables {
        tool = tool.with(name, value);
    }
    let log = target.beside("log");
    let mut args = vec!["mount", "-f", "oss://bucket", target.dir(), "--log-level", "trace", "--log-format", format];
    args.extend(["--log-file", log.to_str().unwrap()]);
    args.extend(given.options.iter().map(String::as_str));
    let mut running = tool.spawn(&args);
    until("it is mounted", || running.child().try_wait().unwrap().is_some() || target.is_mounted());
    let mut seen = Seen::default();
    if target.is_mounted() {
        suffer(&server, &target);
        ask(&tool, &target, &mut running, &mut seen);
        look_at_the_process(running.child().id(), &mut seen);
        leaves_no_core_and_is_closed(running.child().id());
        running.signal(libc::SIGTERM);
    }
    let ended = running.wait().ok();
    seen.add("stdout", ended.stdout);
    seen.add("stderr", ended.stderr);
    seen.add_file(&log);
    if let Some(path) = &given.seen_by_child {
        seen.add_file(path);
        assert!(seen.has("OSSMOUNT_ENDPOINT="), "the program has written down its environment");
    }
    assert!(seen.has("DEBUG") && seen.has("refused") && seen.has("changed"), "there is a log of all that");
    seen.holds_no_secret();
}

/// Every command that asks a mount, while its log level goes once around.
fn ask(tool: &Tool, target: &Target, running: &mut Running, seen: &mut Seen) {
    for args in [
        &["status"][..],
        &["status", target.dir()],
        &["status", "--json", target.dir()],
        &["status", "--prometheus", target.dir()],
        &["control", target.dir(), r#"{"op":"stats","files":true}"#],
        &["control", target.dir(), r#"{"op":"health"}"#],
        &["control", target.dir(), r#"{"op":"stat","path":"a.txt"}"#],
        &["stat", "--json", target.path("a.txt").to_str().unwrap()],
    ] {
        let ended = tool.run(args).ok();
        seen.add(args.join(" "), format!("{}{}", ended.stdout, ended.stderr));
        running.signal(libc::SIGUSR2);
    }
    running.signal(libc::SIGHUP);
}

#[test]
fn keys_from_the_environment() {
    keeps_secrets("json", from_environment);
}

#[test]
fn keys_from_a_file() {
    keeps_secrets("text", from_file);
}

#[test]
fn keys_from_a_program() {
    keeps_secrets("json", from_program);
}

#[test]
fn keys_of_a_role_taken_on_with_a_token() {
    keeps_secrets("text", from_role);
}

#[test]
fn keys_of_a_role_taken_on_with_other_keys() {
    keeps_secrets("json", from_role_with_keys);
}

/// Sentences about keys that are not accepted, or not understood, quote none of them.
#[test]
fn refusals() {
    let server = bucket();
    let target = Target::new();
    let reach = || Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    let odd =
        written(&target, "odd", &format!(r#"{{"AccessKeyId":"{ID}","AccessKeySecret":"{SECRET}","SecurityToken":"#));
    let line = written(&target, "line", &format!("bucket:{SECRET}:{TOKEN}:{TICKET}:more\n"));
    let shown = format!("echo {TICKET} | sed s/nothing//; echo '{{\"AccessKeySecret\":\"{SECRET}\"}}'");
    let mut seen = Seen::default();
    for (tool, options) in [
        (reach().with("OSS_ACCESS_KEY_ID", ID).with("OSS_ACCESS_KEY_SECRET", TICKET), &[][..]),
        (reach().with("OSS_ACCESS_KEY_SECRET", SECRET), &[]),
        (reach(), &["--credentials-file", &odd]),
        (reach(), &["--credentials-file", &line]),
        (reach(), &["--credentials-process", &shown]),
    ] {
        let ended = target.mount(&tool, "oss://bucket", &[options, &["--log-level", "trace", "-f"]].concat());
        assert_eq!(ended.status, Some(1), "{ended:?}");
        seen.add(format!("{options:?}").replace(&shown, ""), format!("{}{}", ended.stdout, ended.stderr));
    }
    seen.holds_no_secret();
}

#[test]
fn a_file_of_keys_that_others_may_read_is_warned_about() {
    let (server, target) = (bucket(), Target::new());
    let tool = Tool::bare().with("OSSMOUNT_ENDPOINT", &server.endpoint()).with("OSSMOUNT_REGION", "cn-hangzhou");
    let path = written(&target, "keys.json", &json());
    let list = || tool.run(&["ls", "oss://bucket", "--credentials-file", &path]).ok().stderr;
    assert_eq!(list(), "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let said = list();
    assert!(said.contains("other users may read") && said.contains("keys.json"), "{said}");
}
