//! One option table, and its resolution into each room's `Options`.
//!
//! An option is one row of [`TABLE`]: name, group, kind, default, help. The command-line flags, the words after `-o`,
//! the environment variables, the keys of the JSON file, `config/default.json` and the manual's table all come from
//! that row. What was given, and where, is gathered in [`Raw`] (flag beats environment beats file beats default),
//! checked there against the row's kind, and turned by [`resolve()`] into what the rooms want. Below this room nobody
//! sees a flag, a file or the environment.

mod credentials;
mod effective;
mod file;
mod flags;
mod json;
mod listen;
mod machine;
mod print;
mod problem;
mod raw;
mod resolve;
mod suggest;
mod table;
mod url;
mod value;
mod words;

pub use effective::{Computed, Effective, effective};
pub use file::{Found, standard_files};
pub use flags::{args, collect};
pub use json::Place;
pub use listen::MetricsListen;
pub use machine::{Machine, MemoryGroup, MemoryShares, cgroup_limit, meminfo};
pub use print::{default_json, markdown_table};
pub use problem::{Problem, Result, Status};
pub use raw::{Origin, Raw, unknown_variables};
pub use resolve::{
    ControlSocket, Log, LogFormat, Mounting, Run, resolve, resolve_copy, resolve_list, resolve_run, resolve_store,
};
pub use table::{Group, Name, Row, Standing, TABLE};
pub use url::BucketUrl;
pub use value::{Kind, parse_time};
pub use words::{Caller, Words};
