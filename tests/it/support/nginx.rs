//! Members of a fleet of near caches: Debian's nginx with the configuration that is shipped.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::program::until;

const CONFIGURATION: &str = include_str!("../../../packaging/near/nginx.conf");

/// How a member is set up.
pub(crate) struct Setup<'a> {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The only bucket's host, and where that is.
    pub(crate) endpoint: SocketAddr,
    /// What it must be sent.
    pub(crate) token: &'a str,
    /// A directory with `cert.pem` and `key.pem`, for a member that is reached by TLS.
    pub(crate) certificate: Option<&'a Path>,
}

/// A running member. Its processes end when it is dropped.
pub(crate) struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts a member in the network of this thread, and waits until it listens.
    pub(crate) fn start(setup: &Setup<'_>) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let listen = match setup.certificate {
            Some(certificate) => {
                let [cert, key] = ["cert.pem", "key.pem"].map(|name| certificate.join(name));
                let lines = format!(
                    "listen {} ssl;\nssl_certificate {};\nssl_certificate_key {};\n",
                    setup.listen,
                    cert.display(),
                    key.display()
                );
                fs::write(dir.join("tls.conf"), lines).unwrap();
                format!("unix:{}/plain", dir.display())
            }
            None => setup.listen.to_string(),
        };
        let endpoint = setup.endpoint.to_string();
        let text = [
            ("LISTEN", listen.as_str()),
            ("GATE", "127.0.0.1:8079"),
            ("DIR", dir.to_str().unwrap()),
            ("SIZE", "1g"),
            ("SCHEME", "http"),
            ("ENDPOINT", &endpoint),
            ("HOSTS", &endpoint.replace('.', "\\.")),
            ("TOKEN", setup.token),
            ("CONF", dir.to_str().unwrap()),
        ]
        .iter()
        .fold(CONFIGURATION.to_owned(), |text, (name, value)| text.replace(&format!("${{NEAR_{name}}}"), value));
        let conf = dir.join("nginx.conf");
        fs::write(&conf, text).unwrap();
        let log = fs::File::create(dir.join("log")).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&conf)
            // The directory of a test is root's alone.
            .args(["-g", "daemon off; user root;", "-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("nginx is there: tests/run unpacks it to .venv/nginx/usr/sbin, which belongs in PATH");
        let mut nginx = Nginx { child, folder };
        until("nginx listens", || {
            assert!(nginx.child.try_wait().unwrap().is_none(), "{}", nginx.log());
            nginx.folder.path().join("nginx.pid").exists() && std::net::TcpStream::connect(setup.listen).is_ok()
        });
        nginx
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Kills all of its processes at once.
    pub(crate) fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }

    fn signal(&self, signal: i32) {
        // SAFETY: no memory is involved; the group is the child's own.
        unsafe { libc::kill(-(self.child.id() as i32), signal) };
    }

    /// All its processes stand still: connections are accepted, and nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// They go on.
    pub(crate) fn go_on(&self) {
        self.signal(libc::SIGCONT);
    }

    /// The files of its cache.
    pub(crate) fn cached(&self) -> Vec<PathBuf> {
        fn files(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
            }
        }
        let mut found = Vec::new();
        files(&self.folder.path().join("cache"), &mut found);
        found
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}

/// The port that members listen at.
pub(crate) const PORT: u16 = 8080;

/// The list of members at these addresses, as the option `near` has it.
pub(crate) fn list(scheme: &str, members: &[IpAddr]) -> String {
    let urls: Vec<String> = members.iter().map(|member| format!("{scheme}://{member}:{PORT}")).collect();
    urls.join(",")
}
