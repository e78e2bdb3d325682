//! Listings over the wire against a sorted map, in both dialects and both forms.

use std::collections::BTreeSet;

use ossmount::emulator::{Emulator, Generator, GeneratorKind, Options};
use proptest::prelude::*;

use super::client::{Answer, Client, Sign};
use super::emulator;

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Keys and common prefixes (with `…` behind) of a page, in the order of the protocol: by their text.
fn lines(page: &Answer) -> Vec<String> {
    let mut lines: Vec<_> = page.all("Key").iter().map(|key| decode(key)).collect();
    let common = page.all("CommonPrefixes").into_iter().map(|inner| {
        let inner = inner.trim_start_matches("<Prefix>").trim_end_matches("</Prefix>");
        format!("{}…", decode(inner))
    });
    lines.extend(common);
    lines
}

/// Every line of a listing, page by page; `second` chooses the form.
fn listed(client: &Client, prefix: &str, delimiter: &str, most: &str, second: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = String::new();
    loop {
        let mut query = vec![("encoding-type", "url"), ("max-keys", most), ("prefix", prefix)];
        query.push(("delimiter", delimiter));
        if second {
            query.push(("list-type", "2"));
        }
        if !next.is_empty() {
            query.push((if second { "continuation-token" } else { "marker" }, &next));
        }
        let page = client.ask("GET", ("b", ""), &query, &[], b"").unwrap().expect(200);
        let lines = lines(&page);
        assert!(lines.len() <= most.parse().unwrap());
        if second {
            assert_eq!(page.element("KeyCount"), lines.len().to_string());
        }
        for line in &lines {
            assert!(found.insert(line.clone()), "{line} came twice");
        }
        if page.element("IsTruncated") == "false" {
            return found;
        }
        let element = if second { "NextContinuationToken" } else { "NextMarker" };
        next = page.element(element);
        if client.sign == Sign::Oss || !second {
            next = decode(&next);
        }
        if next.is_empty() {
            next = lines.last().unwrap().clone();
        }
    }
}

fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: &str) -> BTreeSet<String> {
    let line = |key: &String| {
        let rest = &key[prefix.len()..];
        match rest.find(delimiter).filter(|_| !delimiter.is_empty()) {
            Some(at) => format!("{}…", &key[..prefix.len() + at + delimiter.len()]),
            None => key.clone(),
        }
    };
    keys.iter().filter(|key| key.starts_with(prefix)).map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn listings_agree_with_a_sorted_map(
        keys in proptest::collection::btree_set("[ab+& /é%\u{1}-\u{10ffff}]{1,5}", 0..30),
        prefix in prop_oneof![Just(""), Just("a"), Just("a/"), Just("é")],
        delimiter in prop_oneof![Just(""), Just("/"), Just("%")],
        most in 1_u8..6,
    ) {
        let keys: BTreeSet<String> = keys.into_iter().filter(|key| !key.starts_with('/')).collect();
        let emulator = emulator();
        for key in &keys {
            emulator.put("b", key, "x");
        }
        let expected = model(&keys, prefix, delimiter);
        for sign in [Sign::Oss, Sign::S3] {
            let client = Client::new(&emulator, sign);
            for second in [true, false] {
                let found = listed(&client, prefix, delimiter, &most.to_string(), second);
                prop_assert_eq!(&found, &expected, "{:?} {}", sign, second);
            }
        }
    }
}

#[test]
fn pages_have_the_default_size_of_their_dialect() {
    let emulator = emulator();
    emulator.generate("b", Generator::new(GeneratorKind::Flat, 2500));
    let (oss, s3) = (Client::new(&emulator, Sign::Oss), Client::new(&emulator, Sign::S3));
    let ask = |client: &Client, most: &str| {
        client.ask("GET", ("b", ""), &[("list-type", "2"), ("max-keys", most)], &[], b"").unwrap()
    };
    assert_eq!(ask(&oss, "").expect(200).all("Key").len(), 100);
    assert_eq!(ask(&s3, "").expect(200).all("Key").len(), 1000);
    assert_eq!(ask(&oss, "1001").expect(400).element("Code"), "InvalidArgument");
    assert_eq!(ask(&oss, "-1").expect(400).element("Code"), "InvalidArgument");
    assert_eq!(ask(&s3, "5000").expect(200).all("Key").len(), 1000);
    assert_eq!(ask(&oss, "1000").expect(200).element("IsTruncated"), "true");
    let bad = [("list-type", "2"), ("continuation-token", "bogus")];
    oss.ask("GET", ("b", ""), &bad, &[], b"").unwrap().expect(400);
    oss.ask("GET", ("b", ""), &[("encoding-type", "base64")], &[], b"").unwrap().expect(400);
}

/// S3 leaves the slash of an encoded key, OSS does not; clients that compare texts notice.
#[test]
fn a_slash_is_encoded_in_the_dialect_of_oss_alone() {
    let emulator = emulator();
    emulator.put("b", "a b/c+d", "x");
    for (sign, keys, prefix) in [(Sign::S3, "a%20b/c%2Bd", "a%20b/"), (Sign::Oss, "a%20b%2Fc%2Bd", "a%20b%2F")] {
        let client = Client::new(&emulator, sign);
        let query = [("encoding-type", "url"), ("prefix", "a b/")];
        let page = client.ask("GET", ("b", ""), &query, &[], b"").unwrap().expect(200);
        assert_eq!((page.element("Key"), page.element("Prefix")), (keys.into(), prefix.into()));
        let query = [("list-type", "2"), ("encoding-type", "url"), ("delimiter", "/")];
        let page = client.ask("GET", ("b", ""), &query, &[], b"").unwrap().expect(200);
        assert_eq!(page.all("CommonPrefixes"), [format!("<Prefix>{prefix}</Prefix>")]);
        assert_eq!(page.element("Delimiter"), if client.sign == Sign::S3 { "/" } else { "%2F" });
    }
}

#[test]
fn owners_come_when_asked_for() {
    let emulator = emulator();
    emulator.put("b", "k", "x");
    let client = Client::new(&emulator, Sign::Oss);
    let ask = |query: &[(&str, &str)]| client.ask("GET", ("b", ""), query, &[], b"").unwrap().expect(200);
    assert!(ask(&[("list-type", "2")]).all("Owner").is_empty());
    assert_eq!(ask(&[("list-type", "2"), ("fetch-owner", "true")]).all("Owner").len(), 1);
    assert_eq!(ask(&[]).all("Owner").len(), 1);
}

#[test]
fn millions_of_keys_are_listed_from_anywhere() {
    let emulator = Emulator::start(Options::default()).unwrap();
    let generator = Generator::new(GeneratorKind::Mixed, 5_000_000);
    emulator.generate("b", generator.clone());
    let client = Client::new(&emulator, Sign::Oss);
    let top = client.ask("GET", ("b", ""), &[("delimiter", "/")], &[], b"").unwrap().expect(200);
    assert_eq!(top.all("CommonPrefixes").len(), 8);
    let start = generator.key(3_123_455);
    let query = [("list-type", "2"), ("start-after", start.as_str()), ("max-keys", "3")];
    let page = client.ask("GET", ("b", ""), &query, &[], b"").unwrap().expect(200);
    assert_eq!(page.all("Key"), [3_123_456, 3_123_457, 3_123_458].map(|index| generator.key(index)));
}

#[test]
fn version_listings_page_through_keys_and_versions() {
    let emulator = Emulator::start(Options::default()).unwrap();
    emulator.create_versioned_bucket("b");
    for round in 0..3 {
        for key in ["a/1", "a/2", "b", "c"] {
            emulator.put("b", key, format!("{round}"));
        }
    }
    emulator.delete("b", "b");
    let client = Client::new(&emulator, Sign::Oss);
    for delimiter in ["", "/"] {
        let mut found = Vec::new();
        let (mut key_marker, mut id_marker) = (String::new(), String::new());
        loop {
            let query = [
                ("versions", ""),
                ("max-keys", "2"),
                ("delimiter", delimiter),
                ("key-marker", &key_marker),
                ("version-id-marker", &id_marker),
            ];
            let page = client.ask("GET", ("b", ""), &query, &[], b"").unwrap().expect(200);
            found.extend(page.all("Key"));
            found.extend(page.all("CommonPrefixes").iter().map(|_| "a/…".to_owned()));
            if page.element("IsTruncated") == "false" {
                break;
            }
            (key_marker, id_marker) = (page.element("NextKeyMarker"), page.element("NextVersionIdMarker"));
        }
        let mut expected: Vec<&str> = match delimiter {
            "" => [["a/1"; 3], ["a/2"; 3]].concat(),
            _ => vec!["a/…"],
        };
        expected.extend(["b", "b", "b", "b", "c", "c", "c"]);
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{delimiter:?}");
    }
}

#[test]
fn several_are_deleted_at_once() {
    let emulator = emulator();
    for key in ["a", "b&c", "d"] {
        emulator.put("b", key, "x");
    }
    let client = Client::new(&emulator, Sign::Oss);
    let document = b"<Delete><Object><Key>a</Key></Object><Object><Key>b&amp;c</Key></Object></Delete>";
    let query = [("delete", ""), ("encoding-type", "url")];
    client.ask("POST", ("b", ""), &query, &[], document).unwrap().expect(400);
    let md5 = "KOOxTAr7Wd5k91uIbWNuAA==";
    let wrong = client.ask("POST", ("b", ""), &query, &[("content-md5", md5)], document).unwrap();
    assert_eq!(wrong.expect(400).element("Code"), "InvalidDigest");
    let md5 = {
        use base64::Engine;
        use md5::Digest;
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(document))
    };
    let answer = client.ask("POST", ("b", ""), &query, &[("content-md5", &md5)], document).unwrap().expect(200);
    assert_eq!(answer.all("Key"), ["a", "b%26c"]);
    let listed = client.ask("GET", ("b", ""), &[], &[], b"").unwrap().expect(200);
    assert_eq!(listed.all("Key"), ["d"]);
}
