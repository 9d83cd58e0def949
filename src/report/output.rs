//! Lines of styled text → bytes on standard output or standard error; the one place that writes colours.
//!
//! **Invariant:** text of unknown origin passes [`super::escape`] here, on the way to a terminal, so that no
//! caller can forget it.

use std::io::{self, Write};

use super::escape;

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ansi {
    /// On a terminal only.
    Auto,
    /// Always, also into a pipe.
    Always,
    /// Never.
    Never,
}

/// How a piece of text looks where colours are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As the terminal writes by default.
    Plain,
    /// Emphasised.
    Bold,
    /// Less important.
    Dim,
    /// Done well.
    Good,
    /// Deserves a look.
    Warning,
    /// Went wrong.
    Bad,
    /// Says something about the program, not about the work.
    Note,
    /// One of the colours that tell services apart; any number is fine.
    Service(usize),
}

const SERVICE_COLOURS: [&str; 10] = [
    "36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1",
];

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Note => "34",
            Self::Service(index) => SERVICE_COLOURS[index % SERVICE_COLOURS.len()],
        }
    }
}

/// A piece of text in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What is written.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

impl Span {
    /// Returns `text` in `style`.
    pub fn new(style: Style, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }

    /// Returns `text` without a style.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(Style::Plain, text)
    }
}

/// How many characters a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

impl Size {
    /// What is assumed of a terminal that does not say.
    const USUAL: Self = Self {
        width: 80,
        height: 24,
    };
}

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Somebody at a terminal.
    Person,
    /// A pipe or a file.
    Program,
}

impl Reader {
    fn of(stream: &impl io::IsTerminal) -> Self {
        if stream.is_terminal() {
            Self::Person
        } else {
            Self::Program
        }
    }
}

/// One of the process's two output streams, or a buffer in a test.
pub struct Output {
    sink: Box<dyn Write + Send>,
    is_terminal: bool,
    colours: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            sink: _,
            is_terminal,
            colours,
        } = self;
        formatter
            .debug_struct("Output")
            .field("is_terminal", is_terminal)
            .field("colours", colours)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Returns the process's standard output.
    pub fn stdout(ansi: Ansi) -> Self {
        let stdout = io::stdout();
        Self::new(ansi, Reader::of(&stdout), Box::new(stdout))
    }

    /// Returns the process's standard error.
    pub fn stderr(ansi: Ansi) -> Self {
        let stderr = io::stderr();
        Self::new(ansi, Reader::of(&stderr), Box::new(stderr))
    }

    /// Returns an output that is not a terminal and writes to `sink`.
    pub fn to(sink: Box<dyn Write + Send>) -> Self {
        Self::new(Ansi::Never, Reader::Program, sink)
    }

    fn new(ansi: Ansi, reader: Reader, sink: Box<dyn Write + Send>) -> Self {
        let is_terminal = reader == Reader::Person;
        let colours = match ansi {
            Ansi::Auto => is_terminal,
            Ansi::Always => true,
            Ansi::Never => false,
        };
        Self {
            sink,
            is_terminal,
            colours,
        }
    }

    /// Tells whether a person is looking at it.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Tells whether colours are on.
    pub fn has_colours(&self) -> bool {
        self.colours
    }

    /// Returns the size of the terminal that the process has, whichever stream leads to it.
    pub fn size(&self) -> Size {
        let size = rustix::termios::tcgetwinsize(io::stderr())
            .or_else(|_| rustix::termios::tcgetwinsize(io::stdout()));
        match size {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size {
                width: size.ws_col.into(),
                height: size.ws_row.into(),
            },
            _ => Size::USUAL,
        }
    }

    /// Writes one line of unstyled text.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.spans(&[Span::plain(text)])
    }

    /// Writes one line of styled pieces.
    pub fn spans(&mut self, spans: &[Span]) -> io::Result<()> {
        let mut line: Vec<u8> = Vec::with_capacity(128);
        for span in spans {
            self.render(span, &mut line);
        }
        line.push(b'\n');
        self.sink.write_all(&line)
    }

    /// Returns styled pieces as text that can be written as it is.
    pub fn painted(&self, spans: &[Span]) -> String {
        let mut line = Vec::with_capacity(128);
        for span in spans {
            self.render(span, &mut line);
        }
        String::from_utf8(line).expect("spans and colour codes are text")
    }

    /// Writes one line of a service's output after a prefix of ours.
    pub fn service_line(&mut self, prefix: &[Span], payload: &[u8]) -> io::Result<()> {
        let mut line = Vec::with_capacity(payload.len() + 64);
        for span in prefix {
            self.render(span, &mut line);
        }
        if self.is_terminal {
            line.extend_from_slice(&escape::colours_only(payload));
        } else {
            line.extend_from_slice(payload);
        }
        line.push(b'\n');
        self.sink.write_all(&line)
    }

    /// Writes bytes that belong to somebody else exactly as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)
    }

    /// Hands everything written to the kernel.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn render(&self, span: &Span, line: &mut Vec<u8>) {
        let code = if self.colours && !span.text.is_empty() {
            span.style.code()
        } else {
            ""
        };
        if !code.is_empty() {
            line.extend_from_slice(format!("\x1b[{code}m").as_bytes());
        }
        if self.is_terminal {
            line.extend_from_slice(escape::visible(&span.text).as_bytes());
        } else {
            line.extend_from_slice(span.text.as_bytes());
        }
        if !code.is_empty() {
            line.extend_from_slice(b"\x1b[0m");
        }
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! An output that a test can read back.

    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::{Ansi, Output, Reader};

    /// Bytes that an [`Output`] wrote.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        /// Returns an output that writes here and is no terminal.
        pub(crate) fn pipe(&self) -> Output {
            Output::to(Box::new(self.clone()))
        }

        /// Returns an output that writes here and behaves as on a terminal.
        pub(crate) fn terminal(&self, ansi: Ansi) -> Output {
            Output::new(ansi, Reader::Person, Box::new(self.clone()))
        }

        /// Returns what was written so far.
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::Memory;
    use super::*;

    #[test]
    fn a_pipe_gets_the_exact_bytes_and_no_colours() {
        let memory = Memory::default();
        let mut output = memory.pipe();
        output.spans(&[Span::new(Style::Bad, "a\x1bb")]).unwrap();
        output
            .service_line(
                &[Span::new(Style::Service(0), "web-1  | ")],
                b"\x1b[31mred\r",
            )
            .unwrap();
        assert_eq!(memory.text(), "a\x1bb\nweb-1  | \x1b[31mred\r\n");
    }

    #[test]
    fn a_terminal_gets_colours_from_consort_only_where_wanted() {
        let memory = Memory::default();
        memory
            .terminal(Ansi::Auto)
            .spans(&[Span::new(Style::Bad, "a\x1bb")])
            .unwrap();
        memory.terminal(Ansi::Never).line("c\x07").unwrap();
        assert_eq!(memory.text(), "\x1b[31ma\\x1bb\x1b[0m\nc\\x07\n");
    }
}
