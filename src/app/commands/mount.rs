//! `ossmount mount URL DIR`, and the same as mount(8) calls it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use super::config::{Unknown, warn_of_variables};
use crate::app::args::{Form, config_arg};
use crate::app::daemon::{
    background::{self, Side},
    descriptors,
    log::{self, Fallback, Level, Need},
    notify::Manager,
    reload::Reload,
    signals::{Signals, Wish},
    supervise, threads, {self, Plan},
};
use crate::app::sources::{Given, Sources};
use crate::app::tune::{self, Tuned};
use crate::app::variable;
use crate::config::{self, BucketUrl, Caller, Group, Machine, Problem, Result};
use crate::fuse;

pub(in crate::app) fn command(form: Form) -> Command {
    let command = match form {
        Form::Command => Command::new("mount"),
        // Called by other names; its help shows the name people type.
        Form::Bare | Form::Helper => {
            Command::new("ossmount").bin_name("ossmount mount").version(env!("CARGO_PKG_VERSION"))
        }
    };
    command
        .about("Mount a bucket, or the part below a prefix, on a directory; returns when the mount is ready")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .required(true)
                .help("oss://BUCKET[/PREFIX] or s3://BUCKET[/PREFIX]; oss:// alone shows all buckets"),
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .required(true)
                .value_parser(PathBufValueParser::new())
                .help("An empty directory, or /dev/fd/N for a descriptor of /dev/fuse that is already mounted"),
        )
        .arg(
            Arg::new("words").short('o').value_name("OPTIONS").action(ArgAction::Append).help(
                "Options by their long names, as in -o region=cn-hangzhou,memory-limit=2GiB, and those of mount(8)",
            ),
        )
        .args(mount_program_args(form))
        .arg(config_arg())
        .arg(tune::arg())
        .args(config::args(Group::ALL).into_iter().map(|arg| match (arg.get_id().as_str(), form) {
            ("foreground", Form::Command | Form::Bare) => arg.short('f'),
            _ => arg,
        }))
        .args_override_self(true)
}

/// What mount(8) passes to its helpers.
fn mount_program_args(form: Form) -> Vec<Arg> {
    let flag = |name: &'static str, short| Arg::new(name).short(short).action(ArgAction::SetTrue).hide(true);
    let verbose = flag("verbose", 'v').help("Print a line when the mount is ready");
    match form {
        Form::Command => vec![],
        Form::Bare | Form::Helper => {
            let mut args = vec![verbose, flag("no-mtab", 'n'), flag("sloppy", 's'), flag("read-only", 'r')];
            args.push(flag("read-write", 'w'));
            args.push(Arg::new("type").short('t').value_name("TYPE").hide(true));
            if form == Form::Helper {
                args.push(flag("fake", 'f'));
            }
            args
        }
    }
}

pub(in crate::app) fn run(matches: &ArgMatches, form: Form) -> Result<()> {
    let set = |name: &str| matches.try_get_one::<bool>(name).ok().flatten() == Some(&true);
    let caller = match form {
        Form::Command => Caller::Person,
        Form::Bare | Form::Helper if set("sloppy") => Caller::SloppyMountProgram,
        Form::Bare | Form::Helper => Caller::MountProgram,
    };
    let sources = Sources::of(matches, caller);
    let given = sources.read()?;
    let plan = plan(matches, &given)?;
    if set("fake") {
        return Ok(());
    }
    warn_of_variables(Unknown::Meant);
    let said = set("verbose").then(|| format!("{} is mounted on {}", plan.source, plan.dir.display()));
    let url = bucket_url(matches)?;
    let reload = |level| Reload::new(sources, url, given.raw, level);
    match plan.mounting.run.foreground || plan.is_handed_over() {
        true => foreground(plan, reload),
        false => in_background(plan, reload),
    }?;
    if let Some(said) = said {
        // Output that is closed or full must not make a failure of a mount that stands.
        let _ = writeln!(std::io::stdout(), "{said}");
    }
    Ok(())
}

fn plan(matches: &ArgMatches, given: &Given) -> Result<Plan> {
    let url = bucket_url(matches)?;
    let dir = absolute(required(matches.get_one::<PathBuf>("dir"))?);
    let mut mounting = config::resolve(&given.raw, given.words, &url, Machine::look(), &variable)?;
    // Those that the environment or a file of profiles names.
    mounting.store.credentials.map_paths(&absolute);
    Ok(Plan { source: url.to_string(), dir, mounting, tuned: Tuned::of(matches)? })
}

fn bucket_url(matches: &ArgMatches) -> Result<BucketUrl> {
    BucketUrl::parse_mount(required(matches.get_one::<String>("url"))?)
}

/// The parser has seen to it that the argument is there.
fn required<T>(value: Option<&T>) -> Result<&T> {
    value.ok_or_else(|| Problem::usage("URL and DIR are required; see ossmount mount --help"))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn foreground(plan: Plan, reload: impl FnOnce(Arc<Level>) -> Reload) -> Result<()> {
    leave_no_core();
    let supervised = match plan.is_supervised() {
        true => Some(supervise::begin(&plan.dir, (), || {})?.0),
        false => None,
    };
    allow_descriptors();
    let goes_on = match &supervised {
        Some(supervisor) => supervisor.holds(),
        None => descriptors::is_handed(&variable, std::process::id()),
    };
    let level = Arc::new(log::start(&plan.mounting.run.log, Fallback::Stderr, needed(goes_on))?);
    let reload = reload(level.clone());
    let runtime = threads::runtime(plan.mounting.fuse.thread_count())?;
    let manager = supervised.unwrap_or_else(|| Manager::from_environment(&variable));
    let outcome = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        let dir = plan.dir.clone();
        let live = tokio::select! {
            live = daemon::start(plan, level.clone(), &manager) => live?,
            wish = signals.end_or_hand_over() => {
                if goes_on && wish == Wish::End {
                    // It is not served any more.
                    manager.keep_no_more();
                    fuse::discard(&dir);
                }
                return Ok(());
            }
        };
        live.serve(signals, &manager, &level, |mount| reload.run(mount)).await
    });
    end_with_process(runtime);
    outcome
}

fn in_background(plan: Plan, reload: impl FnOnce(Arc<Level>) -> Reload) -> Result<()> {
    let line = match background::detach(&plan.descriptors())? {
        Side::Caller => {
            if let Some(unheard) = log::unheard(&plan.mounting.run.log) {
                let _ = writeln!(std::io::stderr(), "ossmount: {unheard}");
            }
            return Ok(());
        }
        Side::Daemon(line) => line,
    };
    leave_no_core();
    let (manager, line) = match plan.is_supervised() {
        // Where it fails, the line is dropped, and the caller hears that the daemon has ended.
        true => supervise::begin(&plan.dir, line, background::leave_session)?,
        false => (Manager::none(), Some(line)),
    };
    allow_descriptors();
    let outcome = daemonised(plan, reload, line, &manager);
    std::process::exit(i32::from(outcome.is_err()));
}

/// Everything from here on is the daemon's; the caller hears of failures only through the line.
///
/// The caller waits for the first life of the daemon alone.
fn daemonised(
    plan: Plan,
    reload: impl FnOnce(Arc<Level>) -> Reload,
    line: Option<background::CallerLine>,
    manager: &Manager,
) -> std::result::Result<(), ()> {
    let prepared = log::start(&plan.mounting.run.log, Fallback::System, needed(manager.holds()))
        .and_then(|level| Ok((Arc::new(level), threads::runtime(plan.mounting.fuse.thread_count())?)));
    let (level, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => {
            if let Some(line) = line {
                line.failed(&problem);
            }
            return Err(());
        }
    };
    let reload = reload(level.clone());
    let dir = plan.dir.clone();
    let outcome = runtime.block_on(async {
        let started = async {
            let mut signals = Signals::catch()?;
            tokio::select! {
                live = daemon::start(plan, level.clone(), manager) => Ok((live?, signals)),
                (problem, wish) = given_up(&mut signals, line.as_ref()) => {
                    if manager.holds() && wish == Wish::End {
                        // It is not served any more.
                        manager.keep_no_more();
                        fuse::discard(&dir);
                    }
                    Err(problem)
                }
            }
        };
        match started.await {
            Err(problem) => {
                tracing::error!("{problem}");
                if let Some(line) = line {
                    line.failed(&problem);
                }
                Err(())
            }
            Ok((live, signals)) => {
                background::leave_session();
                if line.is_some_and(|line| line.ready().is_err()) {
                    tracing::warn!("the process that requested this mount has ended: unmounting");
                    manager.keep_no_more();
                    live.end(signals).await;
                    return Err(());
                }
                live.serve(signals, manager, &level, |mount| reload.run(mount)).await.map_err(|_| ())
            }
        }
    });
    end_with_process(runtime);
    outcome
}

/// Waits until a daemon that does not serve yet is told to end, or the process that asked for the mount has ended. The
/// daemon may be waiting for up to a minute, and would mount after that.
async fn given_up(signals: &mut Signals, line: Option<&background::CallerLine>) -> (Problem, Wish) {
    let forsaken = async {
        match line {
            Some(line) => line.is_forsaken().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        wish = signals.end_or_hand_over() => (Problem::failure("told to end before the mount was served"), wish),
        () = forsaken => (Problem::failure("the process that requested this mount has ended: nothing is mounted"), Wish::End),
    }
}

/// Whether the log must be had: a mount that goes on has users who wait.
fn needed(goes_on: bool) -> Need {
    if goes_on { Need::Later } else { Need::Must }
}

/// Lets a runtime end with the process, which must be soon. A task that is dropped on the way answers EIO to the
/// program that waits for it, and where the mount is left to another daemon that one is to answer.
fn end_with_process(runtime: Runtime) {
    std::mem::forget(runtime);
}

/// Descriptors are connections and files in memory; the soft limit is 1024 nearly everywhere, for the sake of programs
/// that use select(2).
fn allow_descriptors() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        tracing::warn!("the limit of open files cannot be raised: {errno}");
    }
}

/// The memory of this process holds access keys, so no core file may be written of it. The limit alone would not do:
/// it does not hold where cores are piped to a program.
fn leave_no_core() {
    let limited = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let hidden = prctl::set_dumpable(false);
    if let Err(errno) = limited.and(hidden) {
        tracing::warn!("core dumps cannot be disabled: {errno}");
    }
}
