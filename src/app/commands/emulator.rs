//! `ossmount emulator`: an OSS and S3 server on this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Deserialize;

use super::small_runtime;
use super::text::Output;
use crate::app::daemon::signals::Signals;
use crate::base::ByteSize;
use crate::config::{Problem, Result};
use crate::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, AnonymousRead, Emulator, Options, Shaping};
use crate::files;

pub(in crate::app) fn command() -> Command {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("emulator")
        .about("Serve directories as buckets in the OSS and S3 dialects, for trials and tests")
        .arg(
            arg("root", "DIR", "Each directory in it is a bucket, each file below that an object")
                .value_parser(PathBufValueParser::new()),
        )
        .arg(arg("listen", "ADDRESS", "Where to listen; port 0 takes a free one").default_value("127.0.0.1:0"))
        .arg(arg("region", "REGION", "The region of every bucket").default_value("cn-hangzhou"))
        .arg(
            arg(
                "generate",
                "BUCKET=KIND:COUNT[:SIZE][:HISTORY]",
                "A bucket of computed keys and content, as in big=flat:1000000, or with versions, as in big=flat:1000:3v",
            )
            .action(ArgAction::Append),
        )
        .arg(
            arg("public-read", "BUCKET,...", "Allow unsigned requests to read these buckets, or all buckets")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(""),
        )
        .arg(arg("ttfb", "TIME", "Delay of the first byte of each answer, as in 20ms"))
        .arg(arg("page-time", "TIME", "Delay of each page of a listing"))
        .arg(arg("conn-bandwidth", "SIZE", "Bytes per second of each connection, as in 100MB"))
        .arg(arg("total-bandwidth", "SIZE", "Bytes per second of all connections together"))
        .arg(
            arg("fault", "KIND[:PROBABILITY]", "A fault to inject, as in 503:0.1 or stall=5s:0.01,operation=GetObject")
                .action(ArgAction::Append),
        )
        .arg(
            arg(
                "account",
                "FILE",
                "A further access key: JSON with AccessKeyId, AccessKeySecret and optionally SecurityToken",
            )
            .value_parser(PathBufValueParser::new())
            .action(ArgAction::Append),
        )
        .arg(arg("seed", "N", "The seed of random faults").default_value("0"))
        .arg(arg("threads", "N", "The number of server threads").default_value("2"))
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let options = options(matches)?;
    small_runtime()?.block_on(async {
        let mut signals = Signals::catch()?;
        let emulator = Emulator::start(options)
            .map_err(|error| Problem::failure(format!("the emulator cannot start: {error}")))?;
        let mut out = Output::new();
        out.line(&format!("listening on {}", emulator.endpoint()))?;
        out.line("use it with")?;
        out.line(&format!("  export OSS_ACCESS_KEY_ID={ACCESS_KEY_ID} OSS_ACCESS_KEY_SECRET={ACCESS_KEY_SECRET}"))?;
        out.line(&format!("  ossmount mount oss://BUCKET DIR --endpoint {} --region REGION", emulator.endpoint()))?;
        out.flush()?;
        drop(out);
        signals.end().await;
        Ok(())
    })
}

fn options(matches: &ArgMatches) -> Result<Options> {
    let defaults = Options::default();
    Ok(Options {
        listen: value::<SocketAddr>(matches, "listen", "write ADDRESS:PORT, as in 127.0.0.1:9000")?
            .unwrap_or(defaults.listen),
        root: matches.get_one::<PathBuf>("root").cloned(),
        region: matches.get_one::<String>("region").cloned().unwrap_or(defaults.region),
        anonymous_read: match matches.get_one::<String>("public-read").map(String::as_str) {
            None => AnonymousRead::Nothing,
            Some("") => AnonymousRead::Everything,
            Some(buckets) => AnonymousRead::Buckets(buckets.split(',').map(str::to_owned).collect()),
        },
        shaping: Shaping {
            ttfb: time(matches, "ttfb")?,
            page_time: time(matches, "page-time")?,
            connection_bandwidth: value::<ByteSize>(matches, "conn-bandwidth", "write a size, as in 100MB")?,
            total_bandwidth: value::<ByteSize>(matches, "total-bandwidth", "write a size, as in 100MB")?,
        },
        seed: value(matches, "seed", "write a whole number")?.unwrap_or(0),
        worker_threads: value(matches, "threads", "write a whole number")?.unwrap_or(2).max(1),
        generated: parsed(matches, "generate")?,
        faults: parsed(matches, "fault")?,
        credentials: accounts(matches, defaults.credentials)?,
        ..defaults
    })
}

/// Every value of an option that may be given often.
fn parsed<T: FromStr<Err = String>>(matches: &ArgMatches, name: &str) -> Result<Vec<T>> {
    let texts = matches.get_many::<String>(name).into_iter().flatten();
    texts.map(|text| text.parse().map_err(|what| Problem::usage(format!("--{name} {text:?}: {what}")))).collect()
}

/// The largest file of an account.
const MOST_ACCOUNT_BYTES: u64 = 64 << 10;

/// An account as `--account` reads it: the names are those of a credentials file.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AccountFile {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
}

/// The accounts known without asking, and those of the files.
fn accounts(matches: &ArgMatches, mut known: Vec<Account>) -> Result<Vec<Account>> {
    for path in matches.get_many::<PathBuf>("account").into_iter().flatten() {
        let fail = |what: String| Problem::usage(format!("--account {}: {what}", path.display()));
        let text = files::read_text(path, MOST_ACCOUNT_BYTES).map_err(|error| fail(error.to_string()))?;
        // The parser's own words would quote the file, and with it a secret.
        let file: AccountFile = serde_json::from_str(&text)
            .map_err(|_| fail("write {\"AccessKeyId\": \"…\", \"AccessKeySecret\": \"…\"}".to_owned()))?;
        let account = Account::new(file.access_key_id, file.access_key_secret);
        known.push(match file.security_token {
            Some(token) => account.with_token(token),
            None => account,
        });
    }
    Ok(known)
}

fn value<T: FromStr>(matches: &ArgMatches, name: &str, right: &str) -> Result<Option<T>> {
    let Some(text) = matches.get_one::<String>(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Problem::usage(format!("--{name} {text:?}: {right}")))
}

fn time(matches: &ArgMatches, name: &str) -> Result<std::time::Duration> {
    let Some(text) = matches.get_one::<String>(name) else { return Ok(std::time::Duration::ZERO) };
    crate::config::parse_time(text).map_err(|what| Problem::usage(format!("--{name}: {what}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::emulator::FaultKind;

    fn read(words: &[&str]) -> Result<Options> {
        let words = std::iter::once("emulator").chain(words.iter().copied());
        options(&command().try_get_matches_from(words).unwrap())
    }

    #[test]
    fn faults_and_accounts_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), r#"{"AccessKeyId":"STS.a","AccessKeySecret":"hush","SecurityToken":"t"}"#).unwrap();
        let account = file.path().to_str().unwrap();
        let options = read(&["--account", account, "--fault", "503:0.5", "--fault", "reset"]).unwrap();
        assert_eq!(options.credentials, [Account::default(), Account::new("STS.a", "hush").with_token("t")]);
        let kinds: Vec<_> = options.faults.iter().map(|fault| (fault.kind, fault.probability)).collect();
        assert_eq!(kinds, [(FaultKind::Status503, 0.5), (FaultKind::ResetInBody, 1.0)]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), r#"{"AccessKeySecret":"hush","AccessKeyID":"a"}"#).unwrap();
        let account = file.path().to_str().unwrap();
        for (words, hint) in [(["--account", account], "AccessKeyId"), (["--fault", "503:2"], "from 0 to 1")] {
            let problem = read(&words).unwrap_err().to_string();
            assert!(problem.contains(hint) && problem.contains(words[1]) && !problem.contains("hush"), "{problem}");
        }
    }
}
