//! Credentials that a program prints.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::refresh::Origin;
use super::web::refused;
use super::{Credentials, answer};
use crate::store::Result;

const PATIENCE: Duration = Duration::from_secs(60);
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// A program that prints an access key as JSON.
#[derive(Debug)]
pub(super) struct Program {
    /// A line for the shell.
    pub(super) command: String,
}

impl Program {
    async fn output(&self) -> Result<Zeroizing<String>> {
        // What it says of failures goes where ours goes. It is killed when this is given up.
        let mut child = Command::new("/bin/sh")
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| refused(format!("/bin/sh could not be started for credentials-process: {error}")))?;
        let mut text = Zeroizing::new(String::new());
        if let Some(out) = child.stdout.take() {
            let read = out.take(MAX_OUTPUT_BYTES + 1).read_to_string(&mut text).await;
            let read = read.map_err(|_| refused("the program of credentials-process prints what is no text"))?;
            if read as u64 > MAX_OUTPUT_BYTES {
                return Err(refused("the program of credentials-process prints far more than an access key"));
            }
        }
        let status = child.wait().await;
        match status {
            Ok(status) if status.success() => Ok(text),
            Ok(status) => Err(refused(format!("the program of credentials-process failed ({status}); run it by hand"))),
            Err(error) => Err(refused(format!("the program of credentials-process was lost: {error}"))),
        }
    }
}

#[async_trait]
impl Origin for Program {
    async fn fetch(&self) -> Result<Credentials> {
        let late = |_| refused(format!("the program of credentials-process took over {} s", PATIENCE.as_secs()));
        let text = tokio::time::timeout(PATIENCE, self.output()).await.map_err(late)??;
        answer::parse(&text).map_err(|what| refused(format!("what the program of credentials-process prints {what}")))
    }
}
