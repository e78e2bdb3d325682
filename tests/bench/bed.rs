//! What the workloads run on: one shaped emulator for all, one fresh mount for each run, and the figures read from
//! both from outside.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::daemon::{Mount, status_bytes};
use crate::emulator::{Error, Server, machine, process_cpu};
use crate::workloads::Workload;

const SHAPING: [&str; 6] = ["--ttfb", "20ms", "--page-time", "50ms", "--conn-bandwidth", "100MB"];

const WARM_BYTES: usize = 3 << 30;

/// The figures of one run.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) bytes_asked: u64,
    pub(crate) bytes_fetched: u64,
    pub(crate) requests: u64,
    pub(crate) daemon_cpu: f64,
    pub(crate) reader_cpu: f64,
    pub(crate) emulator_cpu: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The emulator and a folder to mount in.
pub(crate) struct Bed {
    emulator: Server,
    folder: tempfile::TempDir,
}

impl Bed {
    /// Size of the object that the raw reader reads.
    pub(crate) const LARGE_BYTES: u64 = 1 << 30;
    /// Objects in the bucket of small ones.
    pub(crate) const SMALL_FILES: usize = 800;

    /// The path of the large object on its mount.
    pub(crate) fn large(mount: &Path) -> PathBuf {
        mount.join("model-00001-of-00001.safetensors")
    }

    /// The path of one of 38 shards of 64 MiB of a model on their mount.
    pub(crate) fn model_shard(mount: &Path, index: usize) -> PathBuf {
        mount.join(format!("model-{:05}-of-00038.safetensors", index + 1))
    }

    /// The path of one of eight shards of 256 MiB on their mount.
    pub(crate) fn shard(mount: &Path, index: usize) -> PathBuf {
        mount.join(format!("model-{:05}-of-00008.safetensors", index + 1))
    }

    /// The path of a small object on its mount.
    pub(crate) fn small(mount: &Path, index: usize) -> PathBuf {
        mount.join(format!("file-{index:06}.bin"))
    }

    /// The request target of the large object.
    pub(crate) fn large_target(&self) -> &'static str {
        "/large/model-00001-of-00001.safetensors"
    }

    /// Starts the emulator; all connections together bring at most `bandwidth`, in bytes per second.
    pub(crate) fn start(bandwidth: Option<&str>) -> Result<Bed, Error> {
        let folder = tempfile::tempdir()?;
        make_walk(&folder.path().join("buckets/walk"))?;
        let mut args = vec!["--public-read".to_owned()];
        args.extend(SHAPING.map(str::to_owned));
        if let Some(bandwidth) = bandwidth {
            args.extend(["--total-bandwidth".to_owned(), bandwidth.to_owned()]);
        }
        for bucket in [
            "large=shards:1:1GiB",
            "shards=shards:8:256MiB",
            "models=models:38:64MiB",
            "model=models:1:1GiB",
            "small=flat:800:128KiB",
            "flat=flat:100000:1KiB",
        ] {
            args.extend(["--generate".to_owned(), bucket.to_owned()]);
        }
        args.extend(["--root".to_owned(), folder.path().join("buckets").display().to_string()]);
        Ok(Bed { emulator: Server::start(&args)?, folder })
    }

    /// The set-up, in one paragraph.
    pub(crate) fn description(&self) -> String {
        format!(
            "Emulator on loopback: 20 ms to the first byte, 100 MB/s per connection, 50 ms per list page. {}. The raw \
             reader takes a 1 GiB object over 32 connections in 8 MiB ranges, in the same run. Free memory is touched \
             before each run.",
            machine()
        )
    }

    /// Where the emulator listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.emulator.address()
    }

    /// Runs a workload once on a fresh mount, with a tuned number set to another value where one is given
    /// (`read.head_growth=8`).
    pub(crate) fn measure(&self, workload: &Workload, tuned: Option<&str>) -> Result<Figures, Error> {
        warm_memory()?;
        let mount = Mount::new(self.address(), workload.bucket, self.folder.path(), "", tuned)?;
        self.emulator.reset_counters()?;
        let cpu_before = (process_cpu(mount.pid)?, own_cpu()?, self.emulator.cpu()?);
        let started = Instant::now();
        let done = (workload.run)(&mount.folder)?;
        let seconds = done.counted.unwrap_or(started.elapsed()).as_secs_f64();
        let counters = self.emulator.counters()?;
        let mut latencies = done.latencies;
        latencies.sort();
        let quantile = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies.get(index).copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e3
        };
        Ok(Figures {
            seconds,
            bytes_asked: done.bytes,
            bytes_fetched: counters.of("body_bytes")?,
            requests: counters.requests()?,
            daemon_cpu: process_cpu(mount.pid)? - cpu_before.0,
            reader_cpu: own_cpu()? - cpu_before.1,
            emulator_cpu: self.emulator.cpu()? - cpu_before.2,
            peak_bytes: status_bytes(mount.pid, "VmHWM:")?,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        })
    }
}

/// CPU seconds of this process so far, those of its threads that have ended included.
pub(crate) fn own_cpu() -> Result<f64, Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Touches free memory and gives it back. A virtual machine gets its memory from the host page by page, at up to two
/// seconds per GB: the first process to allocate would pay for it, and the figures would tell more of the host than of us.
fn warm_memory() -> std::io::Result<()> {
    let mut memory = memmap2::MmapMut::map_anon(WARM_BYTES)?;
    // Where huge pages are switched off, small ones are touched just as well.
    let _ = memory.advise(memmap2::Advice::HugePage);
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    Ok(())
}

/// 100 directories of 1000 empty objects each.
fn make_walk(bucket: &Path) -> std::io::Result<()> {
    for directory in 0..100 {
        let directory = bucket.join(format!("directory-{directory:03}"));
        std::fs::create_dir_all(&directory)?;
        for file in 0..1000 {
            std::fs::File::create(directory.join(format!("file-{file:04}")))?;
        }
    }
    Ok(())
}
