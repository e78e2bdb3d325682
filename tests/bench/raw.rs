//! The limit to compare with: one object read by parallel ranged GETs straight from sockets, nothing kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::bed::{Bed, own_cpu};
use crate::emulator::Error;

const PART: u64 = 8 << 20;

/// What reading costs at least.
pub(crate) struct Raw {
    /// MB/s.
    pub(crate) rate: f64,
    /// CPU seconds of the reader per GB: no daemon can do with less.
    pub(crate) cpu: f64,
}

/// Reads the bed's 1 GiB object with this many connections.
pub(crate) fn read(bed: &Bed, connections: usize) -> Result<Raw, Error> {
    let next = AtomicU64::new(0);
    let cpu_before = own_cpu()?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..connections).map(|_| scope.spawn(|| read_parts(bed, &next))).collect();
        readers.into_iter().try_for_each(|reader| reader.join().expect("a raw reader panicked"))
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = own_cpu()? - cpu_before;
    Ok(Raw { rate: Bed::LARGE_BYTES as f64 / 1e6 / seconds, cpu: cpu / (Bed::LARGE_BYTES as f64 / 1e9) })
}

fn read_parts(bed: &Bed, next: &AtomicU64) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(bed.address())?;
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let start = next.fetch_add(PART, Ordering::Relaxed);
        if start >= Bed::LARGE_BYTES {
            return Ok(());
        }
        let end = (start + PART).min(Bed::LARGE_BYTES);
        write!(
            socket,
            "GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes={start}-{}\r\nx-oss-range-behavior: standard\r\n\r\n",
            bed.large_target(),
            bed.address(),
            end - 1
        )?;
        receive(&mut socket, end - start, &mut buffer)?;
    }
}

fn receive(socket: &mut TcpStream, expected: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    let mut head = BufReader::with_capacity(4096, &mut *socket);
    let mut line = String::new();
    head.read_line(&mut line)?;
    assert!(line.starts_with("HTTP/1.1 206"), "the raw reader was answered {line:?}");
    while line != "\r\n" {
        line.clear();
        head.read_line(&mut line)?;
    }
    let mut left = expected - head.buffer().len() as u64;
    drop(head);
    while left > 0 {
        let want = left.min(buffer.len() as u64) as usize;
        match socket.read(&mut buffer[..want])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => left -= n as u64,
        }
    }
    Ok(())
}
