//! `ossmount demo`: a sample bucket, a server for it and a mount of it, without any set-up.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command};

use super::sample;
use super::text::Output;
use crate::app::daemon::{
    log,
    notify::Manager,
    signals::Signals,
    threads, {self, Plan},
};
use crate::app::sources;
use crate::app::tune::Tuned;
use crate::app::variable;
use crate::config::{self, BucketUrl, Caller, Group, Machine, Name, Origin, Problem, Raw, Result};
use crate::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Options};
use crate::fuse;

const BUCKET: &str = "demo";

pub(in crate::app) fn command() -> Command {
    Command::new("demo")
        .about("Start a server with a sample bucket, mount it and print commands to try, until Ctrl-C")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(PathBufValueParser::new())
                .help("Where to mount: created if it does not exist, a temporary directory if not given"),
        )
        .args(config::args(&[Group::Names, Group::List, Group::Read, Group::Cache]))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let given = sources::gather(matches, Caller::Person)?;
    let level = Arc::new(log::start_quietly(&given.raw)?);
    // The emulator's are counted with those of the session.
    let runtime = threads::runtime(2 * fuse::Options::default().thread_count())?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        let emulator = Emulator::start(Options::default())
            .map_err(|error| Problem::failure(format!("the emulator cannot start: {error}")))?;
        emulator.create_bucket(BUCKET);
        for (key, bytes) in sample::objects() {
            emulator.put(BUCKET, &key, bytes);
        }
        let place = DemoFolder::make(matches.get_one::<PathBuf>("dir"))?;
        let plan = plan(given.raw, given.words, &emulator, place.path())?;
        let manager = Manager::none();
        let live = tokio::select! {
            live = daemon::start(plan, level.clone(), &manager) => live?,
            () = signals.end() => return Ok(()),
        };
        let shown = live.dir().unwrap_or_else(|| place.path().to_owned());
        // Output that is closed or full ends no demo that stands.
        let _ = say(&shown, &emulator);
        live.serve(signals, &manager, &level, |_| {}).await
    });
    runtime.shutdown_background();
    outcome
}

/// The demo's server knows only its own account; keys in the environment are ignored.
fn plan(mut raw: Raw, words: config::Words, emulator: &Emulator, dir: &Path) -> Result<Plan> {
    raw.set(Name::Endpoint, emulator.endpoint(), Origin::Flag)?;
    raw.set(Name::Region, "cn-hangzhou", Origin::Flag)?;
    for (name, value) in [(Name::Addressing, "path"), (Name::Sign, "v4"), (Name::Credentials, "env")] {
        raw.set(name, value, Origin::Flag)?;
    }
    for name in [Name::Internal, Name::Accelerate, Name::DualStack] {
        raw.set(name, "off", Origin::Flag)?;
    }
    let keys = |name: &str| match name {
        "OSS_ACCESS_KEY_ID" => Some(ACCESS_KEY_ID.into()),
        "OSS_ACCESS_KEY_SECRET" => Some(ACCESS_KEY_SECRET.into()),
        "OSS_SESSION_TOKEN" => None,
        other => variable(other),
    };
    let url: BucketUrl = format!("oss://{BUCKET}").parse()?;
    let mounting = config::resolve(&raw, words, &url, Machine::look(), &keys)?;
    Ok(Plan { source: url.to_string(), dir: dir.to_owned(), mounting, tuned: Tuned::default() })
}

fn say(dir: &Path, emulator: &Emulator) -> Result<()> {
    let dir = dir.display();
    let endpoint = emulator.endpoint();
    let mut out = Output::new();
    for line in [
        format!("oss://{BUCKET} is mounted on {dir}, served by {endpoint}. In another terminal, try"),
        format!("  ls -lR {dir}"),
        format!("  cat {dir}/README.txt"),
        format!("  md5sum {dir}/model/*"),
        format!("  cp -r {dir}/model /tmp/model-copy"),
        format!("  tar cf - -C {dir} dataset | wc -c"),
        format!("  getfattr -d {dir}/model/model-00001-of-00004.safetensors"),
        "or reach the bucket itself:".to_owned(),
        format!("  export OSS_ACCESS_KEY_ID={ACCESS_KEY_ID} OSS_ACCESS_KEY_SECRET={ACCESS_KEY_SECRET}"),
        format!("  ossmount ls -l oss://{BUCKET}/model --endpoint {endpoint} --region cn-hangzhou"),
        "Ctrl-C ends the demo and leaves nothing behind.".to_owned(),
    ] {
        out.line(&line)?;
    }
    out.flush().map(drop)
}

/// The directory of the mount; one that the demo made goes with it.
struct DemoFolder {
    path: PathBuf,
    made: bool,
}

impl DemoFolder {
    fn make(named: Option<&PathBuf>) -> Result<DemoFolder> {
        let fail = |what: &Path, error| Problem::failure(format!("{} cannot be created: {error}", what.display()));
        match named {
            Some(path) if path.exists() => Ok(DemoFolder { path: path.clone(), made: false }),
            Some(path) => {
                fs::create_dir(path).map_err(|error| fail(path, error))?;
                Ok(DemoFolder { path: path.clone(), made: true })
            }
            None => {
                let folder = tempfile::Builder::new().prefix("ossmount-demo-").tempdir();
                let folder = folder.map_err(|error| fail(&std::env::temp_dir(), error))?;
                Ok(DemoFolder { path: folder.keep(), made: true })
            }
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.made {
            // Never more than the empty directory: what lies in it while it is still mounted is not ours to delete.
            let _ = fs::remove_dir(&self.path);
        }
    }
}
