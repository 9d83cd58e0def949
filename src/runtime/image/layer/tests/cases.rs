//! What hostile layers look like, and what becomes of them; one case a line.

use super::Expect::{Inside, Refused, Tree};
use super::{CANARY, Case, case, fields};
use crate::runtime::image::layer::testing::{Fields, Tar};

#[rustfmt::skip]
pub(super) fn names_and_paths() -> Vec<Case> {
    vec![
        case("a name may not climb", |_| Tar::new().file("../evil", b"x").end(), Refused("`..`")),
        case("not even in the middle", |_| Tar::new().dir("a").file("a/../../evil", b"x").end(), Refused("`..`")),
        case("not even harmlessly", |_| Tar::new().dir("a/..").end(), Refused("`..`")),
        case("an absolute name is taken from the root", |_| Tar::new().file("/etc/evil", b"x").end(), Tree(&["etc/", "etc/evil x"])),
        case("many slashes are one", |_| Tar::new().file("//a//b", b"x").end(), Tree(&["a/", "a/b x"])),
        case("dots are nothing", |_| Tar::new().file("./a/./b", b"x").end(), Tree(&["a/", "a/b x"])),
        case("an absolute name of the canary is taken from the root", |c| { Tar::new().pax("path", format!("{c}/file").as_bytes()).file("short", b"x").end() }, Inside),
        case("a name with NUL is cut where the header ends", |_| { Tar::new().raw(&Fields { name: b"a\0b".to_vec(),..fields("", b'0', 0) }, b"").end() }, Tree(&["a "])),
        case("a PAX name with NUL is refused", |_| Tar::new().pax("path", b"a\0b").file("a", b"").end(), Refused("NUL")),
        case("a name with a newline is a name", |_| Tar::new().file("a\nb", b"x").end(), Tree(&["a\nb x"])),
        case("an empty name is refused", |_| Tar::new().file("", b"x").end(), Refused("empty")),
        case("the root can be a directory", |_| Tar::new().dir("./").file("a", b"").end(), Tree(&["a "])),
        case("the root can be nothing else", |_| Tar::new().symlink("./", CANARY).end(), Refused("root is not a directory")),
        case("a component has at most 255 bytes", |_| Tar::new().pax("path", &[b'a'; 256]).file("a", b"").end(), Refused("255")),
        case("a name has at most 4,095 bytes", |_| { Tar::new().pax("path", &b"a/".repeat(2100)).dir("a").end() }, Refused("4,095")),
        case("a directory of 100,000 levels is refused", |_| { Tar::new().pax("path", &b"a/".repeat(100_000)).dir("a").end() }, Refused("4,095")),
        case("a name that is no UTF-8 is a name", |_| { Tar::new().raw(&Fields { name: vec![0xff, 0xfe],..fields("", b'0', 0) }, b"").end() }, Tree(&["\u{fffd}\u{fffd} "])),
        case("a prefix belongs to the name", |_| { Tar::new().raw(&Fields { prefix: b"a/b".to_vec(),..fields("c", b'0', 0) }, b"").end() }, Tree(&["a/", "a/b/", "a/b/c "])),
        case("a prefix may not climb", |_| { Tar::new().raw(&Fields { prefix: b"..".to_vec(),..fields("c", b'0', 0) }, b"").end() }, Refused("`..`")),
    ]
}

#[rustfmt::skip]
pub(super) fn links() -> Vec<Case> {
    vec![
        case("a link may point anywhere", |c| Tar::new().symlink("a", c).end(), Tree(&["a -> @CANARY@"])),
        case("an absolute link is followed inside the root", |_| { Tar::new().symlink("a", "/b").dir("b").file("a/c", b"x").end() }, Tree(&["a -> /b", "b/", "b/c x"])),
        case("a link out leads nowhere", |c| Tar::new().symlink("a", c).file("a/evil", b"x").end(), Refused("link to nothing")),
        case("a link up stops at the root", |_| { Tar::new().symlink("a", "../../../..").file("a/b", b"x").end() }, Tree(&["a -> ../../../..", "b x"])),
        case("a file over a link replaces it", |c| { Tar::new().symlink("a", &format!("{c}/file")).file("a", b"x").end() }, Tree(&["a x"])),
        case("a directory over a link replaces it", |c| { Tar::new().symlink("a", &format!("{c}/secret")).dir("a").end() }, Tree(&["a/"])),
        case("what is below a replaced link stays inside", |c| { Tar::new().symlink("a", c).dir("a").file("a/file", b"x").end() }, Tree(&["a/", "a/file x"])),
        case("a link over a directory replaces it", |c| Tar::new().dir("a").file("a/b", b"x").symlink("a", c).end(), Tree(&["a -> @CANARY@"])),
        case("what follows such a link leads nowhere", |c| { Tar::new().dir("a").file("a/b", b"x").symlink("a", c).file("a/file", b"x").end() }, Refused("link to nothing")),
        case("the directory in hand is not used after a link replaced it", |c| { Tar::new().dir("a").dir("a/b").file("a/b/x", b"1").symlink("a/b", c).file("a/b/y", b"2").end() }, Refused("link to nothing")),
        case("a loop of links is refused", |_| { Tar::new().symlink("a", "b").symlink("b", "a").file("a/c", b"x").end() }, Refused("loop")),
        case("a link to itself is refused", |_| Tar::new().symlink("a", "a").file("a/c", b"x").end(), Refused("loop")),
        case("a chain of links stays inside", |c| { Tar::new().symlink("a", "b/..").symlink("b", c).file("a/x", b"").end() }, Refused("link to nothing")),
        case("an empty link is refused", |_| Tar::new().symlink("a", "").end(), Refused("empty")),
        case("a hard link to a file of the layer works", |_| Tar::new().file("a", b"x").hardlink("b", "a").end(), Tree(&["a x", "b x"])),
        case("a hard link out is refused", |c| Tar::new().hardlink("b", &format!("{c}/file")).end(), Refused("hard link")),
        case("a hard link up is refused", |_| Tar::new().hardlink("b", "../canary/file").end(), Refused("`..`")),
        case("a hard link through a link stays inside", |c| Tar::new().symlink("a", c).hardlink("b", "a/file").end(), Refused("hard link")),
        case("a hard link to a link is that link", |c| { Tar::new().symlink("a", &format!("{c}/file")).hardlink("b", "a").end() }, Tree(&["a -> @CANARY@", "b -> @CANARY@"])),
        case("writing over such a link does not follow it", |c| { Tar::new().symlink("a", &format!("{c}/file")).hardlink("b", "a").file("b", b"x").end() }, Tree(&["a -> @CANARY@", "b x"])),
        case("a hard link to a directory is refused", |_| Tar::new().dir("a").hardlink("b", "a").end(), Refused("hard link")),
        case("a hard link to itself is refused", |_| Tar::new().file("a", b"x").hardlink("a", "a").end(), Refused("hard link")),
        case("a hard link to nothing is refused", |_| Tar::new().hardlink("a", "b").end(), Refused("hard link")),
        case("a hard link to the root is refused", |_| Tar::new().hardlink("a", "/").end(), Refused("hard link")),
        case("writing to one of two links changes one", |_| { Tar::new().file("a", b"x").hardlink("b", "a").file("b", b"y").end() }, Tree(&["a x", "b y"])),
        case("links to process files lead nowhere", |_| { Tar::new().symlink("a", "/proc/self/cwd").file("a/x", b"").end() }, Refused("link to nothing")),
    ]
}

#[rustfmt::skip]
pub(super) fn whiteouts_and_replacements() -> Vec<Case> {
    vec![
        case("a whiteout hides one name", |_| Tar::new().dir("a").file("a/.wh.b", b"").end(), Tree(&["a/", "a/b whiteout"])),
        case("an opaque directory hides all below", |_| Tar::new().dir("a").file("a/.wh..wh..opq", b"").end(), Tree(&["a/ opaque"])),
        case("a whiteout of what the layer has makes it opaque", |_| { Tar::new().dir("a").file("a/x", b"").file(".wh.a", b"").end() }, Tree(&["a/ opaque", "a/x "])),
        case("also the other way round", |_| { Tar::new().file(".wh.a", b"").dir("a").file("a/x", b"").end() }, Tree(&["a/ opaque", "a/x "])),
        case("a file after its whiteout is there", |_| Tar::new().file(".wh.a", b"").file("a", b"x").end(), Tree(&["a x"])),
        case("a whiteout after its file leaves it", |_| Tar::new().file("a", b"x").file(".wh.a", b"").end(), Tree(&["a x"])),
        case("a whiteout of no name is refused", |_| Tar::new().file(".wh.", b"").end(), Refused("no name")),
        case("a whiteout of a dot is refused", |_| Tar::new().file("a/.wh..", b"").end(), Refused("no name")),
        case("a whiteout of the parent is refused", |_| Tar::new().file("a/.wh...", b"").end(), Refused("no name")),
        case("a whiteout is no directory", |_| Tar::new().file(".wh.a/b", b"").end(), Refused("whiteout")),
        case("a whiteout has no content", |_| Tar::new().file(".wh.a", b"x").end(), Refused("content")),
        case("a whiteout is no link", |c| Tar::new().symlink(".wh.a", c).end(), Refused("whiteout")),
        case("a whiteout through a link stays inside", |c| Tar::new().symlink("a", c).file("a/.wh.file", b"").end(), Refused("link to nothing")),
        case("an opaque mark through a link stays inside", |c| Tar::new().symlink("a", c).file("a/.wh..wh..opq", b"").end(), Refused("link to nothing")),
        case("notes of storage drivers are left out", |_| { Tar::new().file(".wh..wh.aufs", b"").dir(".wh..wh.plnk").file(".wh..wh.plnk/1", b"").end() }, Tree(&[])),
        case("the device that means nothing is refused", |_| Tar::new().device("a", b'3', (0, 0)).end(), Refused("hides")),
        case("a hard link to a whiteout is refused", |_| Tar::new().file(".wh.a", b"").hardlink("b", "a").end(), Refused("hard link")),
        case("a file over a directory replaces it", |_| { Tar::new().dir("a").dir("a/b").file("a/b/c", b"x").file("a", b"y").end() }, Tree(&["a y"])),
        case("a directory over a file replaces it", |_| Tar::new().file("a", b"x").dir("a").file("a/b", b"y").end(), Tree(&["a/", "a/b y"])),
        case("a file below a file is refused", |_| Tar::new().file("a", b"x").file("a/b", b"y").end(), Refused("is none")),
        case("a directory twice is one", |_| Tar::new().dir("a").file("a/b", b"x").dir("a").end(), Tree(&["a/", "a/b x"])),
        case("a replaced directory takes its links with it, not their targets", |c| { Tar::new().dir("a").symlink("a/l", c).dir("a/d").file("a", b"y").end() }, Tree(&["a y"])),
        case("a pipe is a pipe", |_| Tar::new().device("a", b'6', (0, 0)).end(), Tree(&["a fifo"])),
    ]
}

#[rustfmt::skip]
pub(super) fn headers() -> Vec<Case> {
    vec![
        case("a PAX size that differs is refused", |_| Tar::new().pax("size", b"0").file("a", &[b'x'; 512]).end(), Refused("two sizes")),
        case("also when it is larger", |_| { Tar::new().pax("size", b"1024").file("a", b"").bytes(&[0; 1024]).end() }, Refused("two sizes")),
        case("the same size twice is one", |_| Tar::new().pax("size", b"1").file("a", b"x").end(), Tree(&["a x"])),
        case("a link with content is refused", |_| { Tar::new().raw(&Fields { link: b"x".to_vec(),..fields("a", b'2', 5) }, b"12345").end() }, Refused("has content")),
        case("a directory with content is refused", |_| Tar::new().raw(&fields("a", b'5', 512), &[0; 512]).end(), Refused("has content")),
        case("a hard link with content is refused", |_| { Tar::new().file("b", b"").raw(&Fields { link: b"b".to_vec(),..fields("a", b'1', 5) }, b"12345").end() }, Refused("has content")),
        case("two PAX headers for one entry are refused", |_| { Tar::new().raw(&fields("p", b'x', 9), b"9 path=b\n").raw(&fields("p", b'x', 9), b"9 path=c\n").file("a", b"").end() }, Refused("two extended headers")),
        case("one PAX key twice is refused", |_| { Tar::new().pax("path", b"b").pax("path", b"c").file("a", b"").end() }, Refused("one key twice")),
        case("a PAX and a GNU name are refused", |_| { Tar::new().raw(&fields("L", b'L', 2), b"b\0").pax("path", b"c").file("a", b"").end() }, Refused("given twice")),
        case("a GNU name is a name", |_| { Tar::new().raw(&fields("././@LongLink", b'L', 2), b"b\0").file("a", b"x").end() }, Tree(&["b x"])),
        case("a PAX record with a wrong length is refused", |_| { Tar::new().raw(&fields("p", b'x', 9), b"99path=b\n").file("a", b"").end() }, Refused("malformed")),
        case("a PAX record that reaches beyond its header is refused", |_| { Tar::new().raw(&fields("p", b'x', 9), b"99 a=bcd\n").file("a", b"").end() }, Refused("malformed")),
        case("a PAX header has at most 1 MiB", |_| { Tar::new().raw(&Fields { size: b"00010000000".to_vec(),..fields("p", b'x', 0) }, b"").end() }, Refused("1 MiB")),
        case("a PAX header of 4 GiB is refused unread", |_| { Tar::new().raw(&Fields { size: b"37777777777".to_vec(),..fields("p", b'x', 0) }, b"").end() }, Refused("1 MiB")),
        case("a global PAX header that renames is refused", |_| { Tar::new().raw(&fields("g", b'g', 9), b"9 path=b\n").file("a", b"").end() }, Refused("global")),
        case("a global comment is fine", |_| { Tar::new().raw(&fields("g", b'g', 12), b"12 comment=\n").file("a", b"").end() }, Tree(&["a "])),
        case("a header without its entry is refused", |_| Tar::new().raw(&fields("p", b'x', 9), b"9 path=b\n").end(), Refused("no entry")),
        case("a wrong checksum is refused", |_| { let mut bytes = Tar::new().file("a", b"x").end(); bytes[0] = b'b'; bytes }, Refused("checksum")),
        case("content that is cut off is refused", |_| { let mut bytes = Tar::new().file("a", &[b'x'; 600]).cut(); bytes.truncate(900); bytes }, Refused("cut off")),
        case("a header that is cut off is refused", |_| { let mut bytes = Tar::new().file("a", b"").cut(); bytes.truncate(300); bytes }, Refused("cut off")),
        case("an archive may end without its end", |_| Tar::new().file("a", b"x").cut(), Tree(&["a x"])),
        case("entries after an empty block are refused", |_| { Tar::new().file("a", b"").bytes(&[0; 512]).file("b", b"").end() }, Refused("empty block")),
        case("what follows the end is nothing", |_| { Tar::new().file("a", b"").bytes(&[0; 1024]).file("b", b"").end() }, Tree(&["a "])),
        case("a negative size is refused", |_| { Tar::new().raw(&Fields { size: vec![0xff; 12],..fields("a", b'0', 0) }, b"").end() }, Refused("size")),
        case("a size beyond all disks is refused", |_| { Tar::new().raw(&Fields { size: [&[0x80, 0, 0, 0][..], &[0x7f; 8]].concat(),..fields("a", b'0', 0) }, b"").end() }, Refused("size")),
        case("a size that is no number is refused", |_| { Tar::new().raw(&Fields { size: b"0000000000x".to_vec(),..fields("a", b'0', 0) }, b"").end() }, Refused("size")),
        case("an owner beyond 32 bits is refused", |_| Tar::new().pax("uid", b"4294967296").file("a", b"").end(), Refused("owner")),
        case("the owner that means nobody is refused", |_| Tar::new().pax("uid", b"4294967295").file("a", b"").end(), Refused("owner")),
        case("an unknown type is refused", |_| Tar::new().raw(&fields("a", b'D', 0), b"").end(), Refused("unknown type")),
        case("an old sparse file is refused", |_| Tar::new().raw(&fields("a", b'S', 0), b"").end(), Refused("sparse")),
        case("a new sparse file is refused", |_| { Tar::new().pax("GNU.sparse.major", b"1").file("a", b"").end() }, Refused("sparse")),
        case("a file whose name ends in a slash is refused", |_| Tar::new().file("a/", b"").end(), Refused("slash")),
        case("no archive at all is refused", |_| b"this is no archive".repeat(100), Refused("checksum")),
        case("nothing is an empty layer", |_| Vec::new(), Tree(&[])),
        case("only an end is an empty layer", |_| Tar::new().end(), Tree(&[])),
    ]
}
