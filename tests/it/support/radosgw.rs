//! A Ceph object gateway for one test: an S3 server that shares nothing with this project.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A running gateway; it ends when dropped, or with this process.
pub(crate) struct Radosgw {
    pub(crate) endpoint: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) region: String,
    folder: tempfile::TempDir,
}

fn script() -> Command {
    Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/servers/radosgw"))
}

impl Radosgw {
    /// Starts one on a free port. Panics, with what the script said, when it cannot.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let owner = std::process::id().to_string();
        let output = script().arg("up").arg(folder.path().join("cluster")).args(["0", &owner]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "radosgw did not start:\n{said}");
        let line = String::from_utf8(output.stdout).unwrap();
        let words: HashMap<&str, &str> = line.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let word = |name: &str| words[name].to_owned();
        Radosgw {
            endpoint: word("endpoint"),
            access_key: word("access-key"),
            secret_key: word("secret-key"),
            region: word("region"),
            folder,
        }
    }

    pub(crate) fn create_bucket(&self, name: &str) {
        self.put(&format!("/{name}"), "");
    }

    /// Switches versioning on.
    pub(crate) fn keep_versions(&self, bucket: &str) {
        let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                    <Status>Enabled</Status></VersioningConfiguration>";
        self.put(&format!("/{bucket}?versioning="), body);
    }

    /// A request signed by curl: the store has no calls for buckets.
    fn put(&self, target: &str, body: &str) {
        let mut curl = Command::new("curl")
            .args(["--config", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl is installed by tests/run");
        let configuration = format!(
            "silent\nshow-error\nfail-with-body\nrequest = PUT\nurl = \"{}{target}\"\nuser = \"{}:{}\"\n\
             aws-sigv4 = \"aws:amz:{}:s3\"\nheader = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\ndata-binary = {body:?}\n",
            self.endpoint, self.access_key, self.secret_key, self.region
        );
        curl.stdin.take().unwrap().write_all(configuration.as_bytes()).unwrap();
        let output = curl.wait_with_output().unwrap();
        assert!(output.status.success(), "PUT {target}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

impl Drop for Radosgw {
    fn drop(&mut self) {
        // The script's own watch ends the cluster should this fail.
        drop(script().arg("down").arg(self.folder.path().join("cluster")).status());
    }
}
