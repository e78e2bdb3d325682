use ossmount::emulator::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut o = Options {
        listen: "127.0.0.1:19191".parse().unwrap(),
        anonymous_read: AnonymousRead::Everything,
        ..Options::default()
    };
    o.worker_threads = args.get(1).map_or(2, |t| t.parse().unwrap());
    o.generated.push("gen=shards:4:8GiB".parse().unwrap());
    o.generated.push("many=mixed:3M".parse().unwrap());
    o.root = args.get(2).map(Into::into);
    if let Some(b) = args.get(3) {
        o.shaping.connection_bandwidth = Some(b.parse().unwrap());
    }
    if let Some(b) = args.get(4) {
        o.shaping.total_bandwidth = Some(b.parse().unwrap());
    }
    let e = Emulator::start(o).unwrap();
    println!("{}", e.endpoint());
    std::thread::sleep(std::time::Duration::from_secs(600));
}
