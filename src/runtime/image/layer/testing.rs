//! Archives made by hand for tests: every field can be wrong.

use super::tar::Kind;

/// A tar file being written.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime::image) struct Tar {
    bytes: Vec<u8>,
    pax: Vec<u8>,
}

/// The fields of one header.
#[derive(Debug, Clone)]
pub(in crate::runtime::image) struct Fields {
    pub(in crate::runtime::image) name: Vec<u8>,
    pub(in crate::runtime::image) typeflag: u8,
    pub(in crate::runtime::image) size: Vec<u8>,
    pub(in crate::runtime::image) mode: Vec<u8>,
    pub(in crate::runtime::image) uid: Vec<u8>,
    pub(in crate::runtime::image) mtime: Vec<u8>,
    pub(in crate::runtime::image) link: Vec<u8>,
    pub(in crate::runtime::image) magic: &'static [u8; 8],
    pub(in crate::runtime::image) device: (u32, u32),
    pub(in crate::runtime::image) prefix: Vec<u8>,
}

impl Fields {
    pub(in crate::runtime::image) fn new(name: &[u8], typeflag: u8, size_bytes: usize) -> Self {
        Self {
            name: name.to_vec(),
            typeflag,
            size: format!("{size_bytes:011o}").into_bytes(),
            mode: b"0000644".to_vec(),
            uid: b"0000000".to_vec(),
            mtime: b"00000001750".to_vec(),
            link: Vec::new(),
            magic: b"ustar\x0000",
            device: (0, 0),
            prefix: Vec::new(),
        }
    }

    fn block(&self) -> Vec<u8> {
        let mut block = vec![0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, &self.mode);
        put(108, &self.uid);
        put(116, b"0000000");
        put(124, &self.size);
        put(136, &self.mtime);
        put(148, b"        ");
        put(156, &[self.typeflag]);
        put(157, &self.link);
        put(257, self.magic);
        put(329, format!("{:07o}", self.device.0).as_bytes());
        put(337, format!("{:07o}", self.device.1).as_bytes());
        put(345, &self.prefix);
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

impl Tar {
    pub(in crate::runtime::image) fn new() -> Self {
        Self::default()
    }

    pub(in crate::runtime::image) fn raw(mut self, fields: &Fields, content: &[u8]) -> Self {
        if !self.pax.is_empty() {
            let records = std::mem::take(&mut self.pax);
            let header = Fields::new(b"pax", b'x', records.len());
            self = self.raw(&header, &records);
        }
        self.bytes.extend(fields.block());
        self.bytes.extend(content);
        let padded = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(padded, 0);
        self
    }

    pub(in crate::runtime::image) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// Adds a PAX record to the next entry.
    pub(in crate::runtime::image) fn pax(mut self, key: &str, value: &[u8]) -> Self {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.pax.extend(format!("{length} {key}=").as_bytes());
        self.pax.extend(value);
        self.pax.push(b'\n');
        self
    }

    pub(in crate::runtime::image) fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(&Fields::new(name.as_bytes(), b'0', content.len()), content)
    }

    pub(in crate::runtime::image) fn dir(self, name: &str) -> Self {
        let mut fields = Fields::new(name.as_bytes(), b'5', 0);
        fields.mode = b"0000755".to_vec();
        self.raw(&fields, b"")
    }

    pub(in crate::runtime::image) fn link(self, name: &str, kind: Kind, target: &str) -> Self {
        let typeflag = if kind == Kind::HardLink { b'1' } else { b'2' };
        let mut fields = Fields::new(name.as_bytes(), typeflag, 0);
        if target.len() > 100 {
            return self.pax("linkpath", target.as_bytes()).raw(&fields, b"");
        }
        fields.link = target.as_bytes().to_vec();
        self.raw(&fields, b"")
    }

    pub(in crate::runtime::image) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(name, Kind::Symlink, target)
    }

    pub(in crate::runtime::image) fn hardlink(self, name: &str, target: &str) -> Self {
        self.link(name, Kind::HardLink, target)
    }

    pub(in crate::runtime::image) fn device(
        self,
        name: &str,
        typeflag: u8,
        device: (u32, u32),
    ) -> Self {
        let mut fields = Fields::new(name.as_bytes(), typeflag, 0);
        fields.device = device;
        self.raw(&fields, b"")
    }

    /// Ends the archive.
    pub(in crate::runtime::image) fn end(self) -> Vec<u8> {
        self.bytes(&[0; 1024]).bytes
    }

    /// Leaves the archive without its end.
    pub(in crate::runtime::image) fn cut(self) -> Vec<u8> {
        self.bytes
    }
}
