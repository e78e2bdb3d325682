//! `ossmount cp SRC DST`: a copy within the service, reported while it runs.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | from the arguments of `cp` to a request |
//! | `local` | copies of objects to files of this machine |
//! | `report` | how the progress of a copy is printed |
//! | `refresh` | tells live mounts that show the destination, so that the copy appears there at once |

mod args;
mod local;
mod refresh;
mod report;

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::args::Arguments;
pub(super) use self::args::Operand;
pub(super) use self::local::{ObjectVersion, look, part_bytes};
use self::report::Teller;
use super::text::Output;
use super::{cat, small_runtime};
use crate::app::args::{config_arg, json_arg};
use crate::app::daemon::{log, reach, signals::Signals};
use crate::app::sources;
use crate::app::variable;
use crate::base::Clock;
use crate::config::{self, BucketUrl, Caller, Group, Name, Problem, Result};
use crate::copy::{self, Account, Copier, Request, Scope, State, Status};
use crate::metrics::Metrics;
use crate::store;

pub(in crate::app) fn command() -> Command {
    let side = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .value_name(name.to_ascii_uppercase())
            .required(true)
            .value_parser(clap::builder::PathBufValueParser::new())
            .help(help)
    };
    Command::new("cp")
        .about("Copy an object, or all objects below a prefix: to files of this machine, or within the service (server-side)")
        .arg(side("src", "oss://BUCKET/KEY[?versionId=VERSION], s3://..., or a path under a live mount"))
        .arg(side(
            "dst",
            "As SRC, a local path, or - for standard output; if it ends in / or is a directory, the copy keeps the name \
             of the object",
        ))
        .arg(
            Arg::new("recursive")
                .long("recursive")
                .short('r')
                .action(ArgAction::SetTrue)
                .help("Copy all objects below SRC to below DST"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Replace local files that exist"),
        )
        .args(args::accepted())
        .arg(json_arg().help("Print JSON, one object a line: the progress, and finally the result"))
        .arg(config_arg())
        .args(config::args(&[Group::Connection, Group::Credentials, Group::View, Group::Copy]))
        .args(config::args_of(&[Name::PartSize, Name::MaxConnections, Name::MaxBandwidth, Name::OddKeys]))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let given = sources::gather(matches, Caller::Person)?;
    local::refuse_local_source(matches)?;
    if let Some(to) = local::destination(matches) {
        args::refuse_for_local(matches)?;
        let source = args::local_source(matches)?;
        if to.as_os_str() == "-" {
            log::start_quietly(&given.raw)?;
            let mut out = Output::new();
            cat::print(&source, &given, &mut out)?;
            return out.flush().map(drop);
        }
        return local::run(matches, &given, &source, &to);
    }
    let Arguments { source, destination, request } = args::read(matches)?;
    let url = BucketUrl { dialect: dialect(&source, &destination)?, ..source.url.clone() };
    let store = config::resolve_store(&given.raw, &url, &variable)?;
    let options = config::resolve_copy(&given.raw)?;
    log::start_quietly(&given.raw)?;
    let to = BucketUrl { path: request.destination.key.clone(), ..destination.url };
    let teller = Teller::new(matches.get_flag("json"), source.url.to_string(), to.to_string());
    let at = config::resolve_at(&given.raw)?.map(|moment| moment.before(Clock::system().now()));
    let request = Request { at, ..request };
    let scope = request.scope;
    let outcome = small_runtime()?.block_on(copied(store, options, request, teller));
    // A copy of a prefix that failed has brought some of it.
    if outcome.is_ok() || scope == Scope::Prefix {
        refresh::tell_mounts(&to, scope);
    }
    outcome
}

/// Both sides must speak one protocol: one service copies.
fn dialect(source: &Operand, destination: &Operand) -> Result<store::Dialect> {
    match source.url.dialect == destination.url.dialect {
        true => Ok(source.url.dialect),
        false => Err(Problem::usage(format!(
            "{} and {} are not in the same service, which a server-side copy requires",
            source.url, destination.url
        ))),
    }
}

async fn copied(store: store::Options, options: copy::Options, request: Request, mut teller: Teller) -> Result<()> {
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::system());
    // What is wrong with the options is told as such, before there is a job.
    reach::connect(store.clone(), &metrics, &clock)?;
    if request.at.is_some() {
        reach::reach(store.clone(), (&request.source.key, request.at), &metrics, &clock).await?;
    }
    let is_prefix = request.scope == Scope::Prefix;
    let copier = Copier::new(Arc::new(Account::new(store, metrics, clock.clone())), options);
    let mut signals = Signals::catch()?;
    let job = copier.start(request).map_err(|error| Problem::usage(error.message()))?;
    let Some(mut status) = copier.watch(job) else {
        return Err(Problem::failure("the daemon no longer knows the copy"));
    };
    teller.begin(clock);
    let mut is_cancelled = false;
    loop {
        let now = status.borrow_and_update().clone();
        if now.state.is_ended() {
            teller.end(&now)?;
            return outcome(&now, is_prefix);
        }
        tokio::select! {
            () = teller.due() => teller.show(&now)?,
            changed = status.changed() => if changed.is_err() { return Err(Problem::failure("the daemon no longer \
                                                                                             knows the copy")) },
            () = signals.end() => {
                if std::mem::replace(&mut is_cancelled, true) {
                    return Err(Problem::failure("interrupted twice: parts of the copy may remain in the bucket"));
                }
                copier.cancel(job);
            }
        }
    }
}

fn outcome(status: &Status, is_prefix: bool) -> Result<()> {
    let left = status
        .upload_id
        .as_ref()
        .map_or(String::new(), |id| format!("; its parts were kept: resume it with --resume {id}"));
    match (status.state, &status.error) {
        (State::Done, _) => Ok(()),
        (State::Cancelled, _) if is_prefix => {
            Err(Problem::failure("cancelled; copied objects remain: continue with --skip-existing"))
        }
        (State::Cancelled, _) => Err(Problem::failure(format!("cancelled{left}"))),
        (_, Some(error)) => Err(Problem::failure(format!("{}{left}", error.message))),
        (_, None) => Err(Problem::failure("the copy failed")),
    }
}
