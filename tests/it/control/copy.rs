//! Copies asked of a live mount, and what the mount shows afterwards.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ossmount::emulator::PutOptions;
use serde_json::{Value, json};

use crate::control::{Client, Mount, ioctl};
use crate::support::program::until;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Starts a copy and waits for its end.
fn copied(client: &mut Client, request: &Value) -> Value {
    let job = client.done(request)["job"].clone();
    let mut status = json!(null);
    until("the copy has ended", || {
        status = client.done(&json!({"op": "copy-status", "job": job, "wait": true}));
        !["queued", "running"].contains(&status["state"].as_str().unwrap())
    });
    status
}

const BELIEVING: [&str; 4] = ["--metadata-ttl", "600s", "--negative-ttl", "600s"];

#[test]
fn what_was_copied_into_the_mount_is_there_at_once() {
    let mount = Mount::with(&BELIEVING);
    let path = |below: &str| mount.target.path(below);
    assert_eq!((names(&path("")).len(), names(&path("dir")).len()), (2, 2));
    for missing in ["copy.txt", "new", "new/deep/copy.txt"] {
        assert!(!path(missing).exists());
    }
    let mut client = mount.client();
    for destination in ["copy.txt", "dir/copy.txt", "new/deep/copy.txt"] {
        let status = copied(&mut client, &json!({"op": "copy", "source": "a.txt", "destination": destination}));
        assert_eq!(status["state"], "done", "{status}");
        assert_eq!(status["bytes"], json!({"done": 6, "total": 6}), "{status}");
        assert_eq!(fs::read_to_string(path(destination)).unwrap(), "alpha\n", "{destination}");
    }
    assert_eq!(names(&path("")), ["a.txt", "copy.txt", "dir", "new"]);
    assert_eq!(names(&path("dir")), ["b.txt", "copy.txt", "deep"]);
    assert_eq!(names(&path("new/deep")), ["copy.txt"]);

    // Over a file that was read, and is in the kernel's memory.
    assert_eq!(fs::read_to_string(path("dir/b.txt")).unwrap(), "beta\n");
    let absolute = json!({"op": "copy", "source": path("a.txt"), "destination": path("dir/b.txt")});
    assert_eq!(copied(&mut client, &absolute)["state"], "done");
    assert_eq!(fs::read_to_string(path("dir/b.txt")).unwrap(), "alpha\n");
}

#[test]
fn a_directory_is_copied_with_all_below_it() {
    let mount = Mount::with(&BELIEVING);
    assert!(!mount.target.path("other").exists());
    let mut client = mount.client();
    let request = json!({"op": "copy", "source": "dir", "destination": "other/place", "recursive": true});
    let status = copied(&mut client, &request);
    assert_eq!((&status["state"], &status["objects"]["done"]), (&json!("done"), &json!(2)), "{status}");
    assert_eq!(names(&mount.target.path("other/place")), ["b.txt", "deep"]);
    assert_eq!(fs::read_to_string(mount.target.path("other/place/deep/c.txt")).unwrap(), "gamma\n");
    let list = client.done(&json!({"op": "copy-list"}));
    assert_eq!(list["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(client.done(&json!({"op": "stats"}))["jobs"]["copy"], json!({"running": 0, "ended": 1}));
}

#[test]
fn the_version_that_the_mount_shows_is_copied_or_none() {
    let mount = Mount::with(&BELIEVING);
    fs::metadata(mount.target.path("a.txt")).unwrap();
    mount.server.put("bucket", "a.txt", "another\n");
    let mut client = mount.client();
    let request = json!({"op": "copy", "source": "a.txt", "destination": "copy.txt"});
    let status = copied(&mut client, &request);
    assert_eq!(status["state"], "failed", "{status}");
    assert!(
        status["error"]["message"].as_str().unwrap().contains("does not have the requested entity tag"),
        "{status}"
    );
    assert!(!mount.target.path("copy.txt").exists());
    // By its key it is whatever is there now.
    let request = json!({"op": "copy", "source": "oss://bucket/a.txt", "destination": "oss://bucket/copy.txt"});
    assert_eq!(copied(&mut client, &request)["state"], "done");
    assert_eq!(fs::read_to_string(mount.target.path("copy.txt")).unwrap(), "another\n");
}

#[test]
fn copies_that_cannot_be_are_refused_in_a_sentence() {
    let mount = Mount::with(&[]);
    let copy = |more: Value| {
        let mut request = json!({"op": "copy", "source": "a.txt", "destination": "b"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ioctl(&mount.target.path(""), &request.to_string())
    };
    for (more, errno, says) in [
        (json!({"source": "none"}), libc::ENOENT, "none: No such file"),
        (json!({"source": "dir"}), libc::EINVAL, "Is a directory"),
        (json!({"recursive": true}), libc::EINVAL, "Not a directory"),
        (json!({"destination": "dir"}), libc::EINVAL, "dir is a directory: name the new object"),
        (json!({"destination": "."}), libc::EINVAL, "the mount itself"),
        (json!({"destination": "a.txt/b"}), libc::EINVAL, "Not a directory"),
        (json!({"destination": "oss://bucket/x?versionId=1"}), libc::EINVAL, "cannot have a versionId"),
        (json!({"source": "gs://b/k"}), libc::EINVAL, "oss://bucket/key"),
        (json!({"part-size": 1}), libc::EINVAL, "100KiB to 5GiB"),
        (json!({"metadata-directive": "move"}), libc::EINVAL, "copy or replace"),
        (json!({"tagging": "a=1&a=2"}), libc::EINVAL, "given twice"),
        (json!({"if-match": "\n"}), libc::EINVAL, "not an entity tag"),
        (json!({"source": "dir", "destination": "dir/deep", "recursive": true}), libc::EINVAL, "lies within"),
    ] {
        let (number, answer) = copy(more.clone());
        assert_eq!(number, errno, "{more}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(says), "{more}: {answer}");
    }
    let (errno, answer) = ioctl(&mount.target.path(""), r#"{"op":"copy-cancel","job":5}"#);
    assert_eq!((errno, &answer["error"]), (libc::ENOENT, &json!("ENOENT")));
    let off = Mount::with(&["--copy=off"]);
    let (errno, answer) = ioctl(&off.target.path(""), r#"{"op":"copy","source":"a.txt","destination":"b"}"#);
    assert_eq!(errno, libc::EOPNOTSUPP);
    assert!(answer["message"].as_str().unwrap().contains("copy=off"), "{answer}");
}

#[test]
fn metadata_and_tags_go_as_asked_and_show_as_attributes() {
    let mount = Mount::with(&[]);
    let options = PutOptions { user_metadata: vec![("who".into(), "me".into())], ..PutOptions::default() };
    mount.server.put_with("bucket", "facts", "x", options);
    let mut client = mount.client();
    let request = json!({
        "op": "copy", "source": "facts", "destination": "copy", "tagging": "a%20b=%C3%BC&c=",
        "metadata": {"color": "blue"}, "content-type": "text/x-test",
    });
    assert_eq!(copied(&mut client, &request)["state"], "done");
    let facts = client.done(&json!({"op": "stat", "path": "copy"}));
    assert_eq!((&facts["meta.color"], facts.get("meta.who")), (&json!("blue"), None), "{facts}");
    assert_eq!((&facts["content-type"], &facts["tags"]), (&json!("text/x-test"), &json!("a%20b=%C3%BC&c=")), "{facts}");
    let kept = copied(&mut client, &json!({"op": "copy", "source": "facts", "destination": "kept"}));
    assert_eq!(kept["state"], "done");
    assert_eq!(client.done(&json!({"op": "stat", "path": "kept"}))["meta.who"], "me");

    let tags = |size: usize| {
        let (path, mut value) = (c_path(&mount.target.path("copy")), vec![0; size]);
        // SAFETY: path and name are C strings, and the buffer is as long as said.
        let length =
            unsafe { libc::getxattr(path.as_ptr(), c"user.oss.tags".as_ptr(), value.as_mut_ptr().cast(), size) };
        if length < 0 { Err(io::Error::last_os_error().raw_os_error().unwrap()) } else { Ok((length as usize, value)) }
    };
    let text = "a%20b=%C3%BC&c=";
    assert_eq!(tags(0).unwrap().0, text.len());
    assert_eq!(tags(text.len() - 1), Err(libc::ERANGE));
    assert_eq!(tags(text.len()), Ok((text.len(), text.as_bytes().to_vec())));
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn set_attribute(path: &Path, name: &str, value: &str) -> i32 {
    let (path, name) = (c_path(path), CString::new(name).unwrap());
    // SAFETY: path and name are C strings, and the value is as long as said.
    match unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) } {
        0 => 0,
        _ => io::Error::last_os_error().raw_os_error().unwrap(),
    }
}

fn attribute(path: &Path, name: &str) -> Result<String, i32> {
    let (path, name, mut value) = (c_path(path), CString::new(name).unwrap(), vec![0; 64 << 10]);
    // SAFETY: path and name are C strings, and the buffer is as long as said.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error().raw_os_error().unwrap())?;
    value.truncate(length);
    Ok(String::from_utf8(value).unwrap())
}

#[test]
fn where_asked_for_requests_come_by_extended_attributes_and_nothing_else_is_written() {
    const CALL: &str = "user.ossmount.call";
    const RESULT: &str = "user.ossmount.result";
    let mount = Mount::with(&["--control-xattr"]);
    let path = |below: &str| mount.target.path(below);
    assert_eq!(attribute(&path("a.txt"), RESULT), Err(libc::ENODATA), "nothing was asked yet");
    assert_eq!(set_attribute(&path("a.txt"), CALL, r#"{"op":"stat"}"#), 0);
    let facts: Value = serde_json::from_str(&attribute(&path("a.txt"), RESULT).unwrap()).unwrap();
    assert_eq!(facts["key"], "a.txt");
    assert_eq!(set_attribute(&path("dir"), CALL, "nonsense"), libc::EINVAL);
    assert!(attribute(&path("dir"), RESULT).unwrap().contains("not a JSON object"));
    assert_eq!(serde_json::from_str::<Value>(&attribute(&path("a.txt"), RESULT).unwrap()).unwrap(), facts);

    assert_eq!(set_attribute(&path("a.txt"), "user.other", "x"), libc::EROFS);
    let errno = |result: io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
    assert_eq!(errno(fs::write(path("a.txt"), "x")), libc::EROFS);
    assert_eq!(errno(fs::write(path("new"), "x")), libc::EROFS);
    assert_eq!(errno(fs::remove_file(path("a.txt"))), libc::EROFS);
    assert_eq!(errno(fs::rename(path("a.txt"), path("b.txt"))), libc::EROFS);
    assert_eq!(errno(fs::create_dir(path("new"))), libc::EROFS);
    assert_eq!(fs::read_to_string(path("a.txt")).unwrap(), "alpha\n");

    let plain = Mount::with(&[]);
    assert_eq!(set_attribute(&plain.target.path("a.txt"), CALL, r#"{"op":"stat"}"#), libc::EROFS);
    assert_eq!(attribute(&plain.target.path("a.txt"), RESULT), Err(libc::ENODATA));
}
