//! A mount of all buckets: each is a directory, and is reached when it is first looked at.

use std::fs;

use ossmount::base::{BucketName, Clock};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Operation, Options};
use ossmount::list::{self, ListScope};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{self, Dialect, connect_all, list_buckets};

use futures::TryStreamExt;

use crate::support::program::{Target, Tool};

/// Buckets whose names order otherwise than as directories do.
fn server() -> Emulator {
    let server = Emulator::start(Options::default()).unwrap();
    for bucket in ["data", "data-2", "empty", "models"] {
        server.create_bucket(bucket);
    }
    server.put("data", "a.txt", "alpha\n");
    server.put("data", "dir/b.txt", "beta\n");
    server.put("data-2", "c.txt", "gamma\n");
    server.put("models", "m/weights", vec![7; 3 << 20]);
    server
}

fn names(target: &Target, below: &str) -> Vec<String> {
    let entries = fs::read_dir(target.path(below)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_mount_without_a_bucket_shows_all_as_directories() {
    let server = server();
    let tool = Tool::for_server(&server);
    for url in ["oss://", "s3://"] {
        let target = Target::new();
        server.reset_counters();
        target.mount(&tool, url, &["--listing", "lazy"]).ok();
        assert_eq!(names(&target, ""), ["data", "data-2", "empty", "models"], "{url}");
        let listed = |operation| server.counters().requests.get(&operation).copied().unwrap_or(0);
        assert_eq!(listed(Operation::ListObjectsV2), 0, "no bucket was looked at yet");
        assert_eq!(listed(Operation::ListBuckets), 1);
        assert_eq!(fs::read_to_string(target.path("data/dir/b.txt")).unwrap(), "beta\n");
        assert_eq!(names(&target, "data"), ["a.txt", "dir"]);
        assert_eq!(names(&target, "empty"), [""; 0]);
        assert_eq!(fs::read(target.path("models/m/weights")).unwrap(), vec![7; 3 << 20]);
        assert!(fs::metadata(target.path("none")).is_err());
        let fact = |path: &str, name: &str| {
            let mut getfattr = tool.command("getfattr");
            getfattr.args(["--only-values", "-n", name]).arg(target.path(path));
            crate::support::program::Ended::of(&mut getfattr).ok().stdout
        };
        assert_eq!(fact("data/dir/b.txt", "user.oss.bucket"), "data");
        assert_eq!(fact("data/dir/b.txt", "user.oss.key"), "dir/b.txt");
        assert_eq!(fact("data-2", "user.oss.bucket"), "data-2");
    }
}

#[test]
fn buckets_are_chosen_by_name() {
    let server = server();
    let tool = Tool::for_server(&server);
    let target = Target::new();
    target.mount(&tool, "oss://", &["--bucket", "models", "--bucket", "data"]).ok();
    assert_eq!(names(&target, ""), ["data", "models"]);
    assert!(fs::metadata(target.path("empty")).is_err());
    let other = Target::new();
    for (url, args, status, says) in [
        ("oss://data", &["--bucket", "models"][..], 2, "names one: remove one of them"),
        ("oss://", &["--at", "1h"], 2, "name the bucket"),
        ("oss://", &["--bucket", "a/b"], 2, "is not the name of a bucket"),
    ] {
        other.mount(&tool, url, args).fails(status, &[says]);
    }
    server.set_faults(vec!["403,operation=ListBuckets".parse().unwrap()]);
    other.mount(&tool, "oss://", &[]).fails(1, &["oss:ListBuckets", "--bucket"]);
    other.mount(&tool, "oss://", &["--bucket", "data"]).ok();
    assert_eq!(fs::read_to_string(other.path("data/a.txt")).unwrap(), "alpha\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_buckets_are_listed_as_one() {
    let server = server();
    for (bucket, keys) in [("data", 2500), ("data-2", 10), ("models", 1200)] {
        for key in 0..keys {
            server.put(bucket, &format!("n/{key:05}"), "");
        }
    }
    let mut options = store::Options::new(Dialect::Oss, BucketName::new(""));
    options.endpoint = Some(server.endpoint());
    options.region = Some("cn-hangzhou".to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    let buckets = list_buckets(&options, &Clock::system()).await.unwrap();
    assert!(buckets.iter().all(|bucket| bucket.region.as_deref() == Some("cn-hangzhou") && bucket.created.is_some()));
    let all = connect_all(options, buckets, Default::default(), Clock::system()).unwrap().store;
    for (prefix, count) in [("", 3710 + 4 + 4), ("data", 2503 + 12), ("data/", 2503), ("data/n/", 2500), ("x", 0)] {
        let pages = list::pages(all.clone(), ListScope::subtree(prefix), &list::Options::default());
        let pages: Vec<list::Page> = pages.try_collect().await.unwrap();
        assert!(pages.iter().all(|page| !page.begins_anew), "no rule of listings is broken");
        let mut keys: Vec<String> = pages.into_iter().flat_map(|page| page.entries).map(|entry| entry.key).collect();
        keys.sort();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{prefix:?}: a key came twice");
        assert!(keys.iter().all(|key| key.starts_with(prefix)), "{prefix:?}");
        assert_eq!(keys.len(), count, "{prefix:?}");
    }
}
