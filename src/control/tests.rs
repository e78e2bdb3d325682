//! What is taken, what is refused and in which words, and who is served.

use super::*;

fn parse(text: &str) -> Result<Request, String> {
    Request::parse(text.as_bytes()).map_err(|refusal| {
        assert_eq!(refusal.kind, Kind::Invalid);
        refusal.sentence
    })
}

#[test]
fn requests_are_read() {
    for (text, expected) in [
        (r#"{"op":"health"}"#, Request::Health),
        (r#" {"version":1, "op":"stats"} "#, Request::Stats(Stats { files: false })),
        (r#"{"op":"stat","path":"a/ü"}"#, Request::Stat(Stat { path: Some("a/ü".into()) })),
        (
            r#"{"op":"prefetch","paths":["b","a"],"wait":true}"#,
            Request::Prefetch(Prefetch { paths: vec!["b".into(), "a".into()], wait: true, to: Destination::Memory }),
        ),
        (r#"{"op":"prefetch-status","job":7}"#, Request::PrefetchStatus(Job { job: 7, wait: false })),
        (r#"{"op":"refresh","recursive":true}"#, Request::Refresh(Refresh { path: None, recursive: true })),
    ] {
        assert_eq!(parse(text), Ok(expected), "{text}");
    }
}

#[test]
fn sides_of_a_copy_are_paths_or_urls() {
    let url = |bucket, key, version| Ok(Place::Url { bucket, key, version });
    for (text, expected) in [
        ("dir/a b", Ok(Place::Path("dir/a b"))),
        ("/mnt/x", Ok(Place::Path("/mnt/x"))),
        ("oss://b/k/ü?x", url("b", "k/ü?x", None)),
        ("s3://b.c/k?versionId=CAE", url("b.c", "k", Some("CAE"))),
        ("oss://b", url("b", "", None)),
        ("oss://b/k?versionId=", url("b", "k?versionId=", None)),
    ] {
        assert_eq!(Place::parse(text), expected, "{text}");
    }
    for text in ["http://b/k", "oss:///k", "oss://a b/k"] {
        assert_eq!(Place::parse(text).unwrap_err().kind, Kind::Invalid, "{text}");
    }
}

#[test]
fn sizes_are_numbers_or_words() {
    for (text, limit, bandwidth) in [
        (r#"{"op":"set","memory-limit":4096}"#, Some(4096), None),
        (r#"{"op":"set","memory-limit":"2GiB","max-bandwidth":"8MiB"}"#, Some(2 << 30), Some(Some(8 << 20))),
        (r#"{"op":"set","max-bandwidth":"none"}"#, None, Some(None)),
    ] {
        let expected = Set { memory_limit: limit, max_bandwidth: bandwidth, ..Set::default() };
        assert_eq!(parse(text), Ok(Request::Set(expected)), "{text}");
    }
}

#[test]
fn what_follows_a_nul_is_padding() {
    let mut padded = br#"{"op":"health"}"#.to_vec();
    padded.resize(8192, 0);
    assert_eq!(Request::parse(&padded), Ok(Request::Health));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, words) in [
        ("", &["not a JSON object"][..]),
        ("[1]", &["not a JSON object"]),
        ("{\"op\":\"health\"", &["not a JSON object", "EOF"]),
        ("{}", &["\"op\" is missing", "prefetch-status"]),
        (r#"{"op":7}"#, &["must be a text"]),
        (r#"{"op":"fly"}"#, &["unknown operation \"fly\"", "health"]),
        (r#"{"op":"health","version":2}"#, &["supports version 1", "not 2"]),
        (r#"{"op":"health","version":"1"}"#, &["supports version 1"]),
        (r#"{"op":"health","verbose":true}"#, &["health: ", "`verbose`"]),
        (r#"{"op":"stat","paht":"x"}"#, &["stat: ", "`paht`", "`path`"]),
        (r#"{"op":"copy","source":"a"}"#, &["copy: missing field `destination`"]),
        (r#"{"op":"copy","source":"a","destination":"b","metadata":{"a":1}}"#, &["copy: ", "integer `1`"]),
        (r#"{"op":"copy","source":"a","destination":"b","partsize":1}"#, &["`partsize`", "`part-size`"]),
        (r#"{"op":"prefetch","paths":"x"}"#, &["prefetch: ", "expected a sequence"]),
        (r#"{"op":"prefetch","paths":[]}"#, &["is empty"]),
        (r#"{"op":"prefetch-status"}"#, &["missing field `job`"]),
        (r#"{"op":"prefetch-status","job":-1}"#, &["-1"]),
        (r#"{"op":"set"}"#, &["nothing to set", "log-level"]),
        (r#"{"op":"set","path":"x"}"#, &["requires \"prefetch\""]),
        (r#"{"op":"set","log-level":"loud"}"#, &["`loud`", "`debug`"]),
        (r#"{"op":"set","memory-limit":"8 apples"}"#, &["8 apples", "512MiB"]),
        (r#"{"op":"set","memory-limit":"none"}"#, &["none", "512MiB"]),
        (r#"{"op":"set","max-bandwidth":true}"#, &["boolean", "or \"none\""]),
        (r#"{"op":"set","path":"x","prefetch":"all"}"#, &["`all`", "`open`"]),
    ] {
        let sentence = parse(text).unwrap_err();
        assert!(words.iter().all(|word| sentence.contains(word)), "{text}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn long_requests_and_deep_ones_are_refused() {
    let long = format!(r#"{{"op":"stat","path":"{}"}}"#, "x".repeat(MOST_REQUEST_BYTES));
    assert!(parse(&long).unwrap_err().contains("at most"));
    let deep = format!(r#"{{"op":"stat","path":{}"#, "[".repeat(100_000));
    assert!(parse(&deep).unwrap_err().contains("recursion limit"));
    let paths = vec!["x"; MOST_PATHS + 1];
    let many = serde_json::json!({"op": "prefetch", "paths": paths}).to_string();
    assert!(parse(&many).unwrap_err().contains("name a directory"));
}

#[test]
fn the_owner_and_root_are_served_and_no_other_user() {
    for (uid, owner, served) in [
        (0, 0, true),
        (0, 1000, true),
        (1000, 1000, true),
        (1001, 1000, false),
        (1000, 0, false),
        (65534, 65534, false),
        (u32::MAX, u32::MAX, false),
    ] {
        for way in [Way::Socket, Way::Mount, Way::ForeignMount] {
            for effect in [Effect::Look, Effect::Fetch] {
                let answer = may(Asker { uid, way }, owner, effect);
                assert_eq!(answer.is_ok(), served, "{uid} {owner} {way:?} {effect:?}");
                assert!(answer.is_ok() || answer.is_err_and(|refusal| refusal.kind == Kind::Forbidden));
            }
        }
    }
}

#[test]
fn only_reading_is_served_to_other_namespaces() {
    for uid in [0, 1000] {
        for effect in [Effect::Steer, Effect::Write] {
            for way in [Way::Socket, Way::Mount] {
                assert_eq!(may(Asker { uid, way }, 1000, effect), Ok(()), "{uid} {way:?} {effect:?}");
            }
            let refusal = may(Asker { uid, way: Way::ForeignMount }, 1000, effect).unwrap_err();
            assert_eq!(refusal.kind, Kind::Forbidden);
            assert!(refusal.sentence.contains("control socket"), "{refusal}");
        }
    }
}

#[test]
fn the_effect_of_each_operation_is_the_one_in_the_manual() {
    for (effect, requests) in [
        (
            Effect::Look,
            &[
                r#"{"op":"copy-status","job":1}"#,
                r#"{"op":"copy-list"}"#,
                r#"{"op":"prefetch-status","job":1}"#,
                r#"{"op":"prefetch-list"}"#,
                r#"{"op":"stat"}"#,
                r#"{"op":"stats"}"#,
                r#"{"op":"metrics"}"#,
                r#"{"op":"health"}"#,
            ][..],
        ),
        (Effect::Fetch, &[r#"{"op":"prefetch","paths":["a"]}"#, r#"{"op":"refresh"}"#]),
        (
            Effect::Steer,
            &[
                r#"{"op":"prefetch-cancel","job":1}"#,
                r#"{"op":"pin"}"#,
                r#"{"op":"drop"}"#,
                r#"{"op":"set","log-level":"debug"}"#,
            ],
        ),
        (Effect::Write, &[r#"{"op":"copy","source":"a","destination":"b"}"#, r#"{"op":"copy-cancel","job":1}"#]),
    ] {
        for request in requests {
            assert_eq!(parse(request).unwrap().effect(), effect, "{request}");
        }
    }
}
