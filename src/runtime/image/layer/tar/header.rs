//! One 512-byte header block into its fields.

use super::Kind;

pub(super) const BLOCK_BYTES: usize = 512;
/// The largest size that eleven octal digits hold.
pub(super) const OCTAL_SIZE_LIMIT_BYTES: u64 = 0o777_7777_7777;
/// The largest size of an entry at all; more cannot be a file.
const SIZE_LIMIT_BYTES: u64 = i64::MAX as u64 / 2;

/// A header whose checksum was right.
#[derive(Debug)]
pub(super) struct Header {
    block: [u8; BLOCK_BYTES],
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK_BYTES]) -> Result<Self, &'static str> {
        let written = octal(&block[148..156]).ok_or("its header has no checksum")?;
        let counted = block.iter().enumerate().map(|(at, &byte)| match at {
            148..156 => u64::from(b' '),
            _ => u64::from(byte),
        });
        if counted.sum::<u64>() != written {
            return Err("the checksum of its header is wrong");
        }
        Ok(Self { block: *block })
    }

    pub(super) fn typeflag(&self) -> u8 {
        self.block[156]
    }

    pub(super) fn kind(&self) -> Result<Kind, &'static str> {
        match self.typeflag() {
            0 | b'0' | b'7' => Ok(Kind::File),
            b'1' => Ok(Kind::HardLink),
            b'2' => Ok(Kind::Symlink),
            b'3' => Ok(Kind::CharDevice),
            b'4' => Ok(Kind::BlockDevice),
            b'5' => Ok(Kind::Dir),
            b'6' => Ok(Kind::Fifo),
            b'S' => Err("it is a sparse file, which image layers should not contain"),
            _ => Err("it is of an unknown type"),
        }
    }

    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        let prefix = self.prefix();
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    /// Only POSIX headers have a prefix: GNU's keep times and sparse maps in the same place.
    fn prefix(&self) -> &[u8] {
        if &self.block[257..263] != b"ustar\0" {
            return &[];
        }
        let is_star = &self.block[508..512] == b"tar\0";
        let end = if is_star { 345 + 131 } else { 345 + 155 };
        text(&self.block[345..end])
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    pub(super) fn size_bytes(&self) -> Result<u64, &'static str> {
        let size = self.number(124..136).ok_or("its size is not a number")?;
        let size = u64::try_from(size).ok();
        size.filter(|&size| size <= SIZE_LIMIT_BYTES)
            .ok_or("its size is negative or too large")
    }

    pub(super) fn mode(&self) -> Result<u32, &'static str> {
        let mode = self.number(100..108).ok_or("its mode is not a number")?;
        // Old writers keep the file's type in the upper bits.
        u32::try_from(mode & 0o7777).map_err(|_| "its mode is not a number")
    }

    pub(super) fn uid(&self) -> Result<u32, &'static str> {
        owner(self.number(108..116))
    }

    pub(super) fn gid(&self) -> Result<u32, &'static str> {
        owner(self.number(116..124))
    }

    pub(super) fn mtime(&self) -> Result<(i64, u32), &'static str> {
        let seconds = self.number(136..148).ok_or("its time is not a number")?;
        Ok((seconds, 0))
    }

    pub(super) fn device(&self, kind: Kind) -> Result<(u32, u32), &'static str> {
        if !matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
            return Ok((0, 0));
        }
        let part = |range| {
            let number = self.number(range).and_then(|n| u32::try_from(n).ok());
            number.ok_or("its device number is not one")
        };
        Ok((part(329..337)?, part(337..345)?))
    }

    /// Reads octal digits, or the binary form that marks itself by the first bit.
    fn number(&self, range: std::ops::Range<usize>) -> Option<i64> {
        let field = &self.block[range];
        match field.first()? {
            0x80 => binary(&field[1..], 0),
            0xff => binary(&field[1..], -1),
            _ => octal(field).and_then(|number| i64::try_from(number).ok()),
        }
    }
}

fn owner(number: Option<i64>) -> Result<u32, &'static str> {
    let id = number.and_then(|number| u32::try_from(number).ok());
    id.filter(|&id| id != u32::MAX)
        .ok_or("its owner is not a user or group id")
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

fn binary(bytes: &[u8], sign: i64) -> Option<i64> {
    bytes.iter().try_fold(sign, |number, &byte| {
        let shifted = number.checked_mul(256)?;
        shifted.checked_add(i64::from(byte))
    })
}

/// Reads octal digits between blanks; a field of blanks and NULs is zero, as everywhere.
fn octal(field: &[u8]) -> Option<u64> {
    let field = text(field);
    let start = field.iter().position(|&byte| byte != b' ');
    let digits = &field[start.unwrap_or(field.len())..];
    let end = digits.iter().rposition(|&byte| byte != b' ');
    let digits = &digits[..end.map_or(0, |end| end + 1)];
    digits.iter().try_fold(0_u64, |number, &byte| match byte {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}
