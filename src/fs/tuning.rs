//! The tuned numbers of names and files: how far listings run ahead, when a question for one name is asked beside a
//! listing, which way a file is read, and how many of its successors are fetched.
//!
//! The defaults are what measurements, or the arithmetic beside each number, led to; benchmarks may set others.

use std::time::Duration;

use crate::base::tuned_numbers;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

tuned_numbers! {
    "fs", "names and files";

    // ---- how programs read (`habits`) ----

    /// Reads shorter than this, in bytes, are small: past the page cache, pieces of 4 KiB come at 0.23 GB/s, through it
    /// at 3.1.
    small_read_bytes = 32 * KIB;
    /// Reads of this length and more, in bytes, are large: from 64 KiB on the way past the page cache gives its full
    /// 4.7 GB/s.
    large_read_bytes = 64 * KIB;
    /// So many small reads, each where the one before ended, show a habit: a program that reads a header first makes
    /// fewer.
    small_reads = 48;
    /// So many large reads show a habit.
    large_reads = 8;
    /// Where reads are mixed, one kind must be so many times as frequent as the other.
    read_majority = 4;
    /// So many opens go through the page cache before the next one is watched again; twice as many each time that it
    /// shows the same.
    first_trust_opens = 16;
    /// The most opens that go through the page cache before the next one is watched again.
    most_trust_opens = 256;
    /// The calls of a process are counted first when it has asked for so many bytes of a file.
    first_count_bytes = 4 * MIB;
    /// The calls of a process are counted again when it has asked for so many bytes of a file.
    second_count_bytes = 64 * MIB;
    /// Calls show nothing where they brought fewer bytes: files can be mapped, too.
    least_counted_bytes = MIB;

    // ---- which files will be wanted next (`file`, `runs`) ----

    /// Of a larger file, in bytes, a program that looks at its kind or its header reads less.
    earnest_bytes = MIB;
    /// What comes next is not fetched before this much, in bytes, or a quarter is left of a file: it would share the
    /// processors with what is wanted now, and a quarter takes longer than the first byte of another file.
    left_bytes = 64 * MIB;
    /// A run that has proved nothing accepts steps this many files before and behind its place.
    nearby_files = 4;
    /// The furthest that files are named ahead, and that a step may come late, in files.
    most_files_ahead = 64;
    /// The furthest that shards, which are large, are named ahead.
    most_shards_ahead = 4;
    /// A run is believed in when it has read so many files.
    run_patience = 3;
    /// The most files that a run must have read to be believed in, after runs that broke off.
    most_run_patience = 48;
    /// After so many files were read elsewhere, twice as many as there may be readers, what a run named is not waited
    /// for.
    quiet_reads = 16;
    /// Density is that of the last so many places, more or less.
    run_memory = 128;

    // ---- listing ahead of a walk (`walk`, `pace`) ----

    /// Children of one directory that have to be listed before the rest is.
    walk_patience = 2;
    /// The most children that have to be listed, after advice that was not followed.
    most_walk_patience = 64;
    /// The most listings ahead of walks that go on at once.
    walks_at_once = 8;
    /// Entries that a listing may bring before the walk has used any of them: 28 pages.
    advance_entries = 28_000;
    /// Entries that a listing may bring for each one that was read, beside those.
    entries_per_read = 4;
    /// And for each directory that was opened: four pages.
    entries_per_directory = 4000;
    /// Requests in flight ahead of a walk that was just recognised.
    first_walk_requests = 8;
    /// Entries that a walk has to earn for one more request in flight.
    entries_per_request = 4000;
    /// Of more directories than this in one, the names are not handed to the listing ahead: a page brings several.
    most_names_ahead = 10_000;
    /// A walk that has caught up with the listing ahead waits for so many of its pages before it lists for itself.
    pages_awaited = 2;
    /// How long a listing ahead waits for the walk to follow, in milliseconds.
    walk_pause_ms = 10_000;

    // ---- listings and single names (`listing`, `lookup`, `failures`) ----

    /// Pages that a directory's own listing goes on for while no program waits.
    unattended_pages = 1000;
    /// How long a listing goes on while no program waits and no page comes, in milliseconds. Pages of slow stores take
    /// a second or two.
    unattended_ms = 5000;
    /// As how many pages one counts that shows no name: it may be one of very many.
    nameless_page_cost = 60;
    /// Single names of one directory that are asked for at once while it is listed. The others wait for their turn, and
    /// nearly always for the page that settles them.
    questions_at_once = 4;
    /// How long the first page of a listing has at least before a single name is asked for beside it, in milliseconds.
    head_start_ms = 10;
    /// And how long at most, however long small directories took before: a name in a large directory waits for so long
    /// in vain.
    most_head_start_ms = 50;
    /// How long the question for one name is left alone, in milliseconds: then the directory is listed beside it, so
    /// that a failure of the one is not waited for before the other is tried.
    late_question_ms = 5000;
    /// How long names that are there are believed where every open asks the store, in milliseconds: a directory that
    /// was just read need not be asked for name by name.
    glance_ms = 1000;
    /// How long a failure is shared with those who come behind it, in milliseconds. The kernel asks within
    /// milliseconds, on a busy machine some hundreds of them; a program that tries again does so later.
    shared_failure_ms = 1000;
    /// What failed sooner than this, in milliseconds, may be asked again: it costs little.
    costly_failure_ms = 5000;

    // ---- the background, and memory (`upkeep`, `rest`) ----

    /// Directories that are listed again in the background at once.
    renewals_at_once = 8;
    /// How often the background looks at most: once in so many milliseconds.
    least_period_ms = 20;
    /// How often the background looks at least: once in so many milliseconds.
    most_period_ms = 5000;
    /// What a directory's names take in memory, each, about, in bytes.
    name_bytes = 128;
    /// Directories up to this many names are held, however full the memory is. Tests do with fewer.
    always_held_names = if cfg!(test) { 512 } else { 4096 };
    /// How long a directory counts as too large that was so only for want of room beside others, in milliseconds.
    squeezed_ms = 60_000;
    /// Requests at once for all handles that read straight from the store. Each has up to four pages on their way: 64
    /// pages are some 13 MB.
    stream_requests = 16;
}

/// A number of milliseconds.
pub(super) const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_by_their_names_and_others_refused() {
        let mut tuning = Tuning::default();
        for (place, name) in Tuning::NAMES.iter().enumerate() {
            tuning.set(name, 1000 + place as u64).unwrap();
        }
        assert_eq!((tuning.small_read_bytes, tuning.stream_requests), (1000, 999 + Tuning::NAMES.len() as u64));
        assert_eq!(
            tuning.set("small-reads", 1).unwrap_err(),
            "small-reads is no tuned number of names and files: see fs::Tuning::NAMES"
        );
        assert_eq!(tuning.set("small_reads", 0).unwrap_err(), "small_reads must be 1 or more");
    }
}
