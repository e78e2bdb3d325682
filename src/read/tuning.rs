//! The tuned numbers of reading: what decides how early, how much and in which pieces bytes are fetched, and what is
//! given up for it.
//!
//! They are no options: what a mount needs stands in [`Options`](super::Options), and most of these make sense only to
//! those who know how they work together. The defaults are what measurements, or the arithmetic beside each number, led
//! to; benchmarks may set others. Numbers that only bound a list or a loop stay beside it.

use crate::base::tuned_numbers;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

tuned_numbers! {
    "read", "reading";

    // ---- what one reader earns (`stream`) ----

    /// The first read at the head of an object fetches so many bytes at least: headers lie there, and a GET of 128 KiB
    /// takes no longer than one of 4.
    head_fetch_bytes = 128 * KIB;
    /// A first read at the head that may begin a stream fetches so many bytes, in one GET: the next reads of a stream
    /// find them, and where it was a header, no more was lost.
    head_guess_bytes = 512 * KIB;
    /// From this length on, in bytes, a first read at the head opens a window by itself: programs that look at headers
    /// ask for 128 KiB (the block size that files show), which the kernel's readahead doubles; those that copy files
    /// ask for 256 KiB and more, which it doubles too.
    opening_read_bytes = 512 * KIB;
    /// A first read at the head that is shorter than this, in bytes, may be all that a program wants of a file, and
    /// what the kernel reads behind it proves no stream. Samples of 100 KB, of which each is a read, do.
    short_header_bytes = 64 * KIB;
    /// So many files of a directory, one after the other, must have been read alike before the next one is expected to
    /// be: read whole, or looked into. Two may be chance. Chosen, not measured.
    files_alike = 3;
    /// A run that began below this offset, in bytes, began at the head, where nearly every program reads on.
    head_bytes = MIB;
    /// The first window at the head, in bytes: 16 GETs of 1 MiB, so that the first megabytes arrive side by side.
    head_window_bytes = 16 * MIB;
    /// The window at the head is so many times what was read: after three reads of 1 MiB the network is full.
    head_growth = 32;
    /// The window of a run in the middle of an object is so many times what was read of it: it may be one tensor or one
    /// record, and at most twice of that is fetched in vain.
    middle_growth = 2;
    /// The least window of a run in the middle, in bytes: two GETs side by side. Chosen, not measured.
    middle_window_bytes = 2 * MIB;
    /// From this length on, in bytes, a run in the middle is no record, and its window grows faster. Chosen, not
    /// measured.
    long_run_bytes = 32 * MIB;
    /// The window of a long run is so many times what was read of it. Chosen, not measured.
    long_run_growth = 8;
    /// So many runs in the middle of an object must have been left before the next one is expected to be as long as
    /// they were. Chosen, not measured.
    runs_alike = 2;
    /// So many runs must have been left before the length that three of four had decides what the first read of the
    /// next one brings. Ranges of 1 to 32 MiB of 1 GiB, mapped in no order, take 3.16 s instead of 3.46 (medians of
    /// five, in turn). The number itself was chosen, not measured.
    runs_known = 4;
    /// And they must have been so long, in bytes, as the runs that earn a window by themselves.
    likely_run_bytes = 4 * MIB;
    /// Where the kernel reads ahead of a program, a run in the middle earns a window when so many times its readahead
    /// was asked for: two of it and a half may be what the kernel reads behind the last byte that the program wanted.
    readaheads_of_run = 4;
    /// A read that goes on from a longer one and is at most this part of that, as divisor, is its rest. Chosen, not
    /// measured: what the kernel cuts off is a page or two.
    rest_share = 16;
    /// So many of the latest runs must have been what the kernel reads around one page fault and no more, before it is
    /// refused that: as many threads may have come to their places and not gone on yet. Chosen, not measured.
    around_jumps = 4;
    /// What is fetched with the first page of a run while it is not known how long runs are, where the kernel was
    /// refused what it reads around page faults, in bytes: at 100 MB/s it takes a millisecond more than one page.
    around_guess_bytes = 128 * KIB;
    /// Where this part of a refused region was asked for after all, as divisor, reading page by page has cost more than
    /// half of a round trip of 20 ms. Chosen, not measured.
    around_used_share = 4;
    /// After that so many jumps are answered in full, and twice as many each time again. Chosen, not measured.
    around_pause = 8;
    /// So much of the runs that follow at equal distances is fetched ahead, in bytes, before as much of such was read:
    /// what a few round trips cost. Chosen, not measured.
    strides_bytes = 4 * MIB;
    /// And later this part of what was read of such, as divisor: they may end with each.
    strides_share = 4;
    /// How much of a run was skipped is looked at once in so many bytes, so that requests which overtake each other do
    /// not look like skips. Chosen, not measured.
    lap_bytes = 4 * MIB;
    /// A read may lie so far from where its stream expects it, in bytes, at most: the whole flight of requests that the
    /// kernel or an asynchronous program keeps. Chosen, not measured.
    slack_bytes = 32 * MIB;
    /// Windows are cut into about so many GETs: half of the 64 connections that a mount has by default.
    parts_per_window = 32;
    /// From this window on, in bytes, GETs are 2 MiB long at least: at 20 ms to the first byte and 100 MB/s, GETs of 1
    /// MiB leave two thirds of a connection's time unused, and 56 connections bring 1.9 GB/s at best (measured: 1.6 to
    /// 1.8).
    earnest_window_bytes = 32 * MIB;
    /// Up to a window of 64 times this many bytes GETs are no longer than this: longer ones make the end of a file
    /// wait.
    moderate_part_bytes = 4 * MIB;
    /// From this window on, in bytes, GETs are as long as they may be while half of the window has come.
    long_part_window_bytes = 64 * MIB;
    /// Readers of one object that are so far from each other, in bytes, share what the network holds.
    far_bytes = 64 * MIB;
    /// From so many bytes on that were read there, a place counts as one of theirs: what is read of a table of contents
    /// at the end of a file is less. Chosen, not measured.
    place_bytes = 512 * KIB;
    /// However many they are, each has so much ahead of it, in bytes. Chosen, not measured.
    place_least_bytes = 16 * MIB;
    /// And this part of what it has read, as divisor: who has read much will read on. Of each quarter of 1 GiB four
    /// threads that read 64 MiB fetch 1.19 bytes for each with 2, 1.10 with 3, 1.07 with 4 (by the traces).
    place_share = 4;
    /// Readers of one object that are distinguished, at most: more at different places share windows poorly, and each
    /// costs a comparison per read.
    streams = 32;

    // ---- how what a program waits for is cut (`planner`, `inode`) ----

    /// What a program asks for beyond so many bytes in one request comes in several GETs side by side: one GET is as
    /// slow as one connection. Requests are so large only where the kernel is told that they may be.
    large_request_bytes = 4 * MIB;
    /// The GETs that a large request is cut into, in bytes, unless a window says how.
    large_request_part_bytes = 2 * MIB;
    /// What a program waits for comes from a near cache, where there is one, from so many bytes on: more than one read
    /// of the kernel asks for at a random place.
    bulk_bytes = 256 * KIB;
    /// Objects up to this size, in bytes, come whole with their first read: at 100 MB/s 1 MiB takes 10 ms, and another
    /// GET 20 ms until its first byte.
    small_object_bytes = MIB;
    /// Parts of random reads below this size, in bytes, are forgotten once they were handed out: the page cache has
    /// them, and a map full of crumbs would cut later windows into as many GETs.
    crumb_bytes = 64 * KIB;
    /// So many bytes are received at once, at most: more would no longer lie in the second-level cache when their
    /// checksum is computed, and less means more wake-ups.
    receive_bytes = 512 * KIB;

    // ---- look-ups (`look_ups`) ----

    /// What fetching all of a file is reckoned to bring, in bytes per second, at most. With 200 MB/s 64 rows of a
    /// matrix of 256 MB bring all of it; with 100, 100 look-ups in a database of 40 MB take longer than ossfs takes,
    /// 0.4 s (by the traces).
    look_up_bytes_per_second = 150_000_000;
    /// A wait counts for so much at most, in milliseconds: longer ones are the store's. Chosen, not measured.
    look_up_most_ms = 100;
    /// Files that take more than this part of the memory, as divisor, are not fetched because of look-ups: they would
    /// push out what other readers keep.
    look_up_memory_share = 4;

    // ---- models (`inode`, `tensors`) ----

    /// While a model's header is not known, no more is fetched ahead behind what is needed of it, in bytes: the kernel
    /// requests the first two or three megabytes of a file before the first one has come. Chosen, not measured.
    header_ahead_bytes = 4 * MIB;
    /// Where all of a model is likely to be wanted, so many times what was asked for is fetched at most, so that a
    /// program that looks at a few tensors costs a few tensors. Chosen, not measured.
    sweep_growth = 8;
    /// What the kernel requests around a page comes through the bridge in pieces of 64 KiB to so many bytes, mostly:
    /// one that holds the beginning or the end of a tensor brings as much of its neighbour, at most. With half of it
    /// every eighth tensor of 1 MiB costs 37 MB instead of 39 for 26, but up to twice as many GETs, as pieces may be
    /// longer.
    tensor_piece_bytes = 128 * KIB;
    /// Where the tensors of a model are read in order, so much is fetched ahead of what was asked for, in bytes: what
    /// 1.6 GB/s bring in the 40 ms that a GET of 2 MiB takes.
    sweep_ahead_bytes = 64 * MIB;
    /// And this part of what was asked for, as divisor: a rank that loads half of the tensors must not cost all.
    sweep_share = 16;
    /// Of a model whose tensors are read in order so much may be fetched at once, in bytes.
    in_order_bytes = 256 * MIB;
    /// And later this part of what lies before the reader's place beyond that, as divisor: it may stop behind any
    /// tensor, and the faster it is, the more would be on its way then. Without such a bound the first half of a model
    /// of 403 MB costs 1.48 bytes for each instead of 1.36 at 1 GB/s, and copies of it take 151 GETs instead of 111 at
    /// 2 GB/s (by the traces).
    in_order_share = 2;
    /// Tensors begun, after which others are expected to be wanted too: one may be a look at the file. Chosen.
    begun_tensors = 2;
    /// Steps of the same length from one tensor to the next, after which they are a pattern, and the tensors that it
    /// leads to are fetched: one of each two equal steps among tensors in any order would be chance. Chosen.
    steps_alike = 2;
    /// Where so much of a tensor was read, in bytes, a reader is in it: less may be what the kernel reads ahead, which
    /// is half of its readahead around a fault, and all of it once more.
    tensor_entered_bytes = 2 * MIB;
    /// The same of a member of an archive, the end of which the kernel does not know: it may have read two readaheads
    /// and a header. With 3 MiB a partial `torch.load` costs 117 to 147 MB instead of 60, as members behind those that
    /// it wants seem to be wanted, too; with 6 a whole one takes up to 5 ms longer.
    member_entered_bytes = 4 * MIB;
    /// Where so much of a member was passed, in bytes, a window may open in it: what looks at its header reads 128 KiB.
    /// With half of that a partial `torch.load` costs 66 to 74 MB instead of 60, and a whole one takes 30 to 50 ms
    /// less.
    member_window_bytes = MIB;
    /// Headers and directories up to this are understood at once, in bytes, not by another thread: what is read next
    /// goes by them. Chosen, not measured: some hundred tensors.
    short_layout_bytes = 64 * KIB;
    /// Shorter tensors, in bytes, are not told apart: one page fault brings their neighbours.
    tensor_least_bytes = MIB;
    /// Of tensors shorter than this on average, in bytes, no more is fetched than of their last page and what the
    /// kernel reads behind it: the megabyte that GETs end with otherwise is a quarter of it.
    tensor_short_bytes = 4 * MIB;
    /// So many tensors in no order may be begun before others are fetched beside them. Chosen: loads of parts take a
    /// few, and each one that is waited for costs a round trip.
    scattered_tensors = 4;
    /// Readers of tensors that take turns: a promise is judged when so many newer ones were made.
    open_promises = 8;
    /// So many more tensors left halfway than read to their end, and none is expected to be read to its end any more.
    /// Chosen.
    broken_promises = 4;

    // ---- turns (`pump`) ----

    /// No window is larger, in bytes, before the network has shown that it holds more: more in flight than it holds
    /// only delays what is wanted next.
    unproven_window_bytes = 256 * MIB;
    /// And readers of one object that are far from each other share no more, in bytes. Four threads that read 64 MiB of
    /// each quarter of 1 GiB fetch 1.07, 1.26, 1.31, 1.40, 1.77 bytes for each with 64, 96, 128, 192, 256 MiB (by the
    /// traces). On 2 cores with 64 instead of 256 MiB, 1.13 instead of 2.15 in three quarters of the time, and all of
    /// the quarters in 0.73 s instead of 1.18.
    unproven_shared_bytes = 64 * MIB;
    /// No window of an object that is on disk is larger, in bytes: what 6 GB/s bring in 10 ms. Its memory is touched
    /// for the first time, for as much processor time as the comparison with its checksum takes.
    disk_window_bytes = 64 * MIB;
    /// The longest GET of those that a program may turn out to wait for, in bytes: it takes 40 ms at 100 MB/s.
    short_part_bytes = 4 * MIB;

    // ---- guesses (`credit`) ----

    /// Bytes that may be fetched for objects that nothing has opened, before any guess came true: at 1.5 GB/s, what
    /// comes in the 20 ms until the first byte of a file that was opened unguessed.
    guess_first_bytes = 32 * MIB;
    /// Behind the file that is expected next, no more is fetched of others while so many bytes were not opened: what
    /// 1.5 GB/s bring in 45 ms, so that a load of small shards does not wait for the next one.
    guess_unproved_bytes = 64 * MIB;
    /// Each byte that was opened earns credit for so many, and each that was not takes it away.
    guess_earned = 2;
    /// Bytes that guesses may hold at most, however much memory there is.
    guess_most_bytes = GIB;
    /// Guesses hold this part of the memory at most, as divisor: the rest is for what was read.
    guess_memory_share = 4;
    /// A guess is written off when its object was not opened for so long, in milliseconds.
    guess_write_off_ms = 60_000;

    // ---- what the network is worth (`pipe`) ----

    /// The best rate of so long, in milliseconds, and of as long before it counts: a minute of slow readers must not
    /// hide what the network can bring.
    pipe_period_ms = 60_000;
    /// How the bound works out is looked at so often, in milliseconds.
    pipe_slot_ms = 1000;
    /// Nothing is bound before so many GETs have ended: short loads are over before anything could be learned from
    /// them.
    pipe_first_gets = 64;
    /// Nothing is bound before so much time has passed since the first GET, in milliseconds.
    pipe_first_ms = 1000;
    /// The bound is so many eighths of rate times life at first: twice that leaves room for parts out of order, and
    /// finds out when more could arrive.
    pipe_first_gain = 16;
    /// The bound is so many eighths of rate times life at most.
    pipe_most_gain = 128;
    /// Fewer bytes are never worth having ahead of a reader: they are soon there, and soon asked for.
    pipe_least_bytes = 32 * MIB;
    /// GETs shorter than this, in bytes, show nothing: their lives are all delay.
    pipe_least_get_bytes = MIB;

    // ---- how fast programs use what they read (`pace`) ----

    /// How fast the readers of an object are shows first in so many bytes that were there when they were asked for. The
    /// kernel has read some of them ahead.
    pace_first_bytes = 4 * MIB;
    /// And better in so many. With 16 MiB the first half of a model at 1 GB/s takes 378 ms instead of 363 (by the
    /// traces), because the first estimate counts for longer.
    pace_stretch_bytes = 8 * MIB;
    /// So many eighths of what is used in the time of a GET are worth having ahead. With more, 1.55 bytes are fetched
    /// for each of that half instead of 1.48; with fewer, copies at 2 GB/s take more GETs (by the traces).
    pace_gain = 18;
    /// However slow readers are, so many bytes are: what 0.5 GB/s use in two GETs of 4 MiB.
    pace_least_bytes = 64 * MIB;

    // ---- who gives way on the line (`right_of_way`) ----

    /// Where each GET brings so much in a second, in bytes, none gives way: the 28 that a program gets beside as many
    /// others then bring nearly half a gigabyte.
    way_wide_bytes_per_second = 16 * MIB;
    /// The background stands still for so long, in milliseconds, to see whether that helps the programs that wait, and
    /// is let through for as long to see what comes then. Four times as long where little comes.
    way_try_ms = 300;
    /// Of that, what comes in the first so many milliseconds does not count: buffers of connections fill and empty.
    way_settle_ms = 100;
    /// So many bytes must have come for that to tell something.
    way_sample_bytes = 128 * KIB;
    /// Where so many bytes have come, that is enough, however soon: on a wide line the background need not stand still
    /// for long.
    way_wide_bytes = 4 * MIB;
    /// Standing still helps where so much more comes for each second that programs wait, in percent.
    way_gain_percent = 25;
    /// What was found holds for so long at first, in milliseconds, and for twice as long each time that it is found
    /// again, up to 16 times.
    way_hold_ms = 4000;
    /// What gives way gets this part of what programs that wait get, as divisor.
    way_share = 8;
    /// And so much in a second at least, in bytes, so that no server gives up on it.
    way_least_bytes_per_second = 256 * KIB;
    /// A GET that has stood still for so long, in milliseconds, gives its connection and its place back. Its server has
    /// sent what fits into the buffers of a connection in vain then, some 100 KiB.
    way_leave_ms = 500;
    /// The same while fewer than half of the places for GETs ahead of readers are free.
    way_leave_scarce_ms = 100;

    // ---- recorded loads (`replay`) ----

    /// The window of a plan that has proved nothing, in bytes: what 2 GB/s bring in 30 ms. Each byte that is used adds
    /// one.
    replay_first_window_bytes = 64 * MIB;
    /// No window of a plan is larger, in bytes.
    replay_most_window_bytes = 256 * MIB;
    /// Windows of a plan take this part of the memory at most, as divisor: what is fetched is given up after everything
    /// that was fetched or read within a window before it and behind it, so that it is still there when it is wanted.
    replay_memory_share = 4;
    /// This part of the bytes that were used may be fetched without being used, as divisor.
    replay_waste_share = 8;
    /// Where the program is found far from where fetching was, what was fetched there allows for as much again, up to
    /// so many bytes.
    replay_most_left_bytes = 64 * MIB;
    /// The plan is given up when so many more bytes were read without its help than half of those it served.
    replay_most_missed_bytes = 64 * MIB;
    /// So many bytes may be read in a row that the plan does nothing for, and yet it goes on beside them: the kernel
    /// reads on behind what a program maps, and does so differently each time.
    replay_most_stray_bytes = 4 * MIB;

    // ---- what stays in memory (`inode`, `backing`, `shortage`) ----

    /// A GET that a program waited for goes on after the object was closed where it lacks so many bytes at most: they
    /// take 10 ms at 100 MB/s, as long as another connection takes to be made.
    finished_after_close_bytes = MIB;

    /// Smaller objects, in bytes, have no file in memory: it takes a descriptor, and the kernel's page cache serves
    /// them as well.
    backing_file_least_bytes = 16 * MIB;
    /// Files that are pinned take this part of the memory at most, as divisor: readers need the rest.
    pinned_share = 2;
    /// A reader is quiet when it has read nothing for so long, in milliseconds: what was fetched ahead of it may go.
    quiet_ms = 1000;
    /// A stream is quiet when its object was read this often since.
    quiet_reads = 256;
    /// Quiet readers are looked for once in so many milliseconds at most: looking goes through all open files.
    quiet_search_ms = 50;

    // ---- while the machine is short of memory (`pressure`) ----

    /// The limit is never lowered below this, in bytes: a part for each of a few readers. What programs wait for is
    /// fetched in any case.
    pressure_floor_bytes = 32 * MIB;
    /// So long without want, in milliseconds, before the limit grows. Chosen, not measured.
    pressure_calm_ms = 10_000;
    /// Then it grows by all of the configured limit within so many milliseconds. Chosen, not measured.
    pressure_recovery_ms = 32_000;
    /// Want is when some task stood still for lack of memory for this part of the time, as divisor. Chosen, not
    /// measured.
    stalled_share = 10;
    /// Where so many quarters of every limit are free, what stood still waited for huge pages to be put together, which
    /// less of our memory does not help.
    ample_quarters = 3;
    /// Want is, too, when no more than this part of some limit is free, as divisor. Chosen, not measured.
    scarce_share = 20;
    /// Of a large limit, so many free bytes are enough. Calm is when it is twice as much. Chosen, not measured.
    scarce_bytes = GIB;
    /// Where nothing is held that could be given up, memory is looked at once in so many milliseconds, so that an idle
    /// mount does not wake the machine.
    idle_look_ms = 60_000;
    /// The shortest time between two looks while something is held, in milliseconds.
    least_look_ms = 100;
    /// The longest time between two looks while something is held, in milliseconds.
    longest_look_ms = 30_000;
    /// The longest time where the kernel does not tell when a task stands still, and while the limit is to grow back,
    /// in milliseconds.
    regular_look_ms = 1000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_can_be_set_by_its_name_and_by_no_other() {
        for name in Tuning::NAMES {
            let mut tuning = Tuning::default();
            tuning.set(name, 7).unwrap();
            assert_ne!(tuning, Tuning::default(), "{name}");
            assert_eq!(tuning.set(name, 0).unwrap_err(), format!("{name} must be 1 or more"));
        }
        let unknown = Tuning::default().set("head", 7).unwrap_err();
        assert!(unknown.starts_with("head is no tuned number of reading"), "{unknown}");
    }
}
