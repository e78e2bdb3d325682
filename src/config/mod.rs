//! One option table, and its resolution into each room's `Options`.
//!
//! An option is one row of [`TABLE`]: name, group, kind, default, help. The command-line flags, the words after `-o`,
//! the environment variables, the keys of the JSON file, `config/default.json` and the manual's table all come from
//! that row. What was given, and where, is gathered in [`Raw`] (flag beats environment beats file beats default),
//! checked there against the row's kind, and turned by [`resolve()`] into the `Options` of the rooms. Below this room
//! no code sees a flag, a file or the environment.
//!
//! | file | what it owns |
//! |---|---|
//! | `choices` | words of options that take one of several, and the variants they stand for |
//! | `credentials` | the source of credentials, from options and environment |
//! | `effective` | the effective value of each option, and its source |
//! | `file` | the JSON configuration file |
//! | `foreign`, `foreign_rows` | options of other clients, and what each is here |
//! | `flags` | the rows of the table as command-line flags |
//! | `json` | a JSON object whose keys and values know their line and column |
//! | `listen` | where figures and health are served |
//! | `machine` | what the machine has: memory, and the limits of control groups |
//! | `near` | the options of near caches |
//! | `print` | `config/default.json`, and the tables of the manual and the README |
//! | `problem` | a failure before or around a command: one sentence and the exit status |
//! | `raw` | the values that were given for each option, their places, and their precedence |
//! | `resolve` | from the given values to the `Options` of each room |
//! | `run` | how the daemon runs and logs |
//! | `suggest` | the known word that is closest to an unknown one |
//! | `table` | the option table |
//! | `url` | `oss://bucket/prefix` and `s3://bucket/prefix` |
//! | `value` | the kinds of values an option takes, and how each is read |
//! | `words` | the words after `-o` |

mod choices;
mod credentials;
mod effective;
mod file;
mod flags;
mod foreign;
mod foreign_rows;
mod json;
mod listen;
mod machine;
mod near;
mod print;
mod problem;
mod raw;
mod resolve;
mod run;
mod suggest;
mod table;
mod url;
mod value;
mod words;

pub use effective::{Computed, Effective, effective};
pub use file::{Found, standard_files};
pub use flags::{args, args_of, collect};
pub use foreign::{Spelling, answer, migration_table};
pub use foreign_rows::Client;
pub use json::Place;
pub use listen::MetricsListen;
pub use machine::{Machine, MemoryGroup, MemoryShares, cgroup_limit, meminfo};
pub use print::{default_json, markdown_table};
pub use problem::{Problem, Result, Status};
pub use raw::{Origin, Raw, unknown_variables};
pub use resolve::{Mounting, resolve, resolve_at, resolve_copy, resolve_list, resolve_run, resolve_store};
pub use run::{ControlSocket, Log, LogFormat, Run};
pub use suggest::hint;
pub use table::{Change, Group, Name, Row, Standing, TABLE};
pub use url::BucketUrl;
pub use value::{Kind, Moment, parse_time};
pub use words::{Caller, Words};
