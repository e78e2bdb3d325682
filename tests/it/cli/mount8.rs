//! Mounts by mount(8), through the helpers that `packaging/install` puts in place.
//!
//! mount(8) looks for helpers in /sbin and nowhere else, so each test has a name space of its own in which /usr/sbin
//! and /usr/local/bin have a writable layer on top; the machine stays as it is.

use crate::support::program::{BINARY, Ended, Target, Tool, server};

/// Runs a shell script where ossmount is installed. `$DIR` is an empty directory; `$TOP` a scratch one.
fn installed(tool: &Tool, script: &str) -> Ended {
    let target = Target::new();
    let set_up = r#"
        set -eu
        mkdir "$TOP/layers" && mount -t tmpfs none "$TOP/layers"
        for place in /usr/sbin /usr/local/bin /usr/local/share; do
            mkdir -p "$TOP/layers$place/upper" "$TOP/layers$place/work"
            mount -t overlay none -o "lowerdir=$place,upperdir=$TOP/layers$place/upper,workdir=$TOP/layers$place/work" $place
        done
        "$REPO/packaging/install" "$BINARY"
    "#;
    let mut command = tool.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &format!("{set_up}\n{script}")]);
    command.env("TOP", target.beside("")).env("DIR", target.dir()).env("BINARY", BINARY);
    command.env("REPO", env!("CARGO_MANIFEST_DIR"));
    Ended::of(&mut command)
}

#[test]
fn each_type_and_form_mounts() {
    let server = server();
    let tool = Tool::for_server(&server);
    let script = r#"
        try() {
            "$@"
            cat "$DIR/dir/b.txt"
            grep " $DIR " /proc/mounts | cut -d' ' -f1,3
            ossmount umount "$DIR"
        }
        try mount -t fuse.ossmount oss://bucket "$DIR" -o uid=7
        try mount -t ossmount s3://bucket "$DIR"
        try mount -t fuse 'ossmount#oss://bucket' "$DIR" -o noexec,allow_other
        try mount.ossmount oss://bucket "$DIR" -n -s -r -o rw,_netdev,not-an-option
        try ossmount -o ro oss://bucket "$DIR"
    "#;
    let ended = installed(&tool, script).ok();
    let shown: Vec<_> = ended.stdout.lines().collect();
    let expected = |url: &str| ["beta".to_owned(), format!("{url} fuse.ossmount")];
    let urls = ["oss://bucket", "s3://bucket", "oss://bucket", "oss://bucket", "oss://bucket"];
    assert_eq!(shown, urls.into_iter().flat_map(expected).collect::<Vec<_>>(), "{ended:?}");
}

#[test]
fn an_fstab_line_mounts_with_the_words_of_fstab() {
    let server = server();
    let tool = Tool::for_server(&server);
    let script = r#"
        line="oss://bucket/dir $DIR fuse.ossmount defaults,_netdev,nofail,x-systemd.automount,noatime,allow_other,dir-mode=0511 0 0"
        echo "$line" > "$TOP/fstab"
        mount --fstab "$TOP/fstab" "$DIR"
        stat -c %a "$DIR"
        cat "$DIR/deep/c.txt"
        umount "$DIR"
    "#;
    assert_eq!(installed(&tool, script).ok().stdout, "511\ngamma\n");
}

#[test]
fn mount_hears_what_went_wrong() {
    let server = server();
    let tool = Tool::for_server(&server);
    for (words, said) in [
        ("regoin=x", "did you mean \"region\"?"),
        ("region=cn-hangzhou,part-size=1", "the minimum is 1MiB"),
        ("endpoint=http://127.0.0.1:1,sign=none", "cannot be reached"),
    ] {
        let script = format!(
            "mount -t ossmount oss://bucket \"$DIR\" -o '{words}' && exit 99; grep \" $DIR \" /proc/mounts || exit 77"
        );
        let ended = installed(&tool, &script);
        assert_eq!(ended.status, Some(77), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[test]
fn mount_a_knows_each_form_of_an_fstab_line() {
    let server = server();
    let tool = Tool::for_server(&server);
    let script = r#"
        mkdir "$DIR/a" "$DIR/b" "$DIR/c" "$DIR/d"
        cat > "$TOP/fstab" <<END
oss://bucket           $DIR/a fuse.ossmount defaults,_netdev,allow_other 0 0
s3://bucket/dir        $DIR/b ossmount ro,nofail,x-systemd.automount,x-systemd.idle-timeout=10min,x-systemd.mount-timeout=30 0 0
ossmount#oss://bucket  $DIR/c fuse ro,_netdev,noatime 0 0
oss://bucket           $DIR/d fuse.ossmount noauto,user,nosuid,nodev 0 0
END
        mount -a --fstab "$TOP/fstab"
        cat "$DIR/a/a.txt" "$DIR/b/b.txt" "$DIR/c/dir/b.txt"
        ls "$DIR/d"
        mount --fstab "$TOP/fstab" "$DIR/d"
        cat "$DIR/d/dir/deep/c.txt"
        # Once more: what is mounted stays so. Of the form with # mount(8) cannot tell that it is.
        mount -a -t ossmount,fuse.ossmount --fstab "$TOP/fstab"
        grep -c "^[a-z0-9]*://bucket[^ ]* $DIR/. fuse.ossmount ro," /proc/mounts
        umount "$DIR/a" "$DIR/b" "$DIR/c" "$DIR/d"
    "#;
    assert_eq!(installed(&tool, script).ok().stdout, "alpha\nbeta\nbeta\ngamma\n4\n");
}
