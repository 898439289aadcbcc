//! Asks xen-domid from Rust, with nothing but its standard library.
//!
//!     domid lookup UUID    its domid; exit status 1: no domain has it, 2: not a UUID, 3: several have it, 4: no answer
//!     domid list           domid and UUID of every domain, a line each
//!     domid watch          every change, a line each: kind, domid, UUID; survives restarts of the service
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use std::{env, process, thread};

use json::Json;

/// A minimal JSON reader. If you have serde_json, use that.
mod json {
    #[derive(Debug)]
    pub enum Json {
        Null,
        Bool(#[allow(dead_code)] bool),
        Number(f64),
        Text(String),
        Array(Vec<Json>),
        Object(Vec<(String, Json)>),
    }

    impl Json {
        pub fn parse(text: &str) -> Option<Json> {
            Parser { bytes: text.as_bytes(), at: 0 }.value()
        }

        pub fn get(&self, name: &str) -> Option<&Json> {
            match self {
                Json::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
                _ => None,
            }
        }

        pub fn text(&self, name: &str) -> Option<&str> {
            match self.get(name)? {
                Json::Text(text) => Some(text),
                _ => None,
            }
        }

        pub fn int(&self) -> Option<i64> {
            match self {
                Json::Number(value) => Some(*value as i64),
                _ => None,
            }
        }

        pub fn items(&self, name: &str) -> Option<&[Json]> {
            match self.get(name)? {
                Json::Array(items) => Some(items),
                _ => None,
            }
        }
    }

    struct Parser<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Parser<'_> {
        fn next(&mut self) -> Option<u8> {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            Some(byte)
        }

        /// Returns the next byte that is not white space, without consuming it.
        fn peek(&mut self) -> Option<u8> {
            while self.bytes.get(self.at)?.is_ascii_whitespace() {
                self.at += 1;
            }
            Some(self.bytes[self.at])
        }

        fn expect(&mut self, word: &str) -> Option<()> {
            let found = self.bytes.get(self.at..)?.starts_with(word.as_bytes());
            self.at += word.len();
            found.then_some(())
        }

        fn value(&mut self) -> Option<Json> {
            match self.peek()? {
                b'{' => Some(Json::Object(self.several(b'}', |parser| {
                    parser.peek()?;
                    let name = parser.string()?;
                    parser.peek()?;
                    parser.expect(":")?;
                    Some((name, parser.value()?))
                })?)),
                b'[' => Some(Json::Array(self.several(b']', Parser::value)?)),
                b'"' => self.string().map(Json::Text),
                b't' => self.expect("true").map(|()| Json::Bool(true)),
                b'f' => self.expect("false").map(|()| Json::Bool(false)),
                b'n' => self.expect("null").map(|()| Json::Null),
                _ => self.number(),
            }
        }

        fn several<T>(&mut self, closing: u8, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
            let mut items = Vec::new();
            self.at += 1;
            if self.peek()? == closing {
                self.at += 1;
                return Some(items);
            }
            loop {
                items.push(one(self)?);
                self.peek()?;
                match self.next()? {
                    b',' => {}
                    byte if byte == closing => return Some(items),
                    _ => return None,
                }
            }
        }

        fn number(&mut self) -> Option<Json> {
            let from = self.at;
            while matches!(self.bytes.get(self.at), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
                self.at += 1;
            }
            let text = std::str::from_utf8(&self.bytes[from..self.at]).ok()?;
            text.parse().ok().map(Json::Number)
        }

        fn string(&mut self) -> Option<String> {
            self.expect("\"")?;
            let mut bytes = Vec::new();
            loop {
                match self.next()? {
                    b'"' => return String::from_utf8(bytes).ok(),
                    b'\\' => {
                        let c = self.escaped()?;
                        bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
                    }
                    byte => bytes.push(byte),
                }
            }
        }

        fn escaped(&mut self) -> Option<char> {
            Some(match self.next()? {
                b'n' => '\n',
                b't' => '\t',
                b'r' => '\r',
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'u' => {
                    let code = self.hex()?;
                    if (0xd800..0xdc00).contains(&code) {
                        self.expect("\\u")?;
                        let low = self.hex()?.checked_sub(0xdc00)?;
                        char::from_u32(0x10000 + ((code - 0xd800) << 10) + low)?
                    } else {
                        char::from_u32(code).unwrap_or('\u{fffd}')
                    }
                }
                byte @ (b'"' | b'\\' | b'/') => byte as char,
                _ => return None,
            })
        }

        fn hex(&mut self) -> Option<u32> {
            let digits = std::str::from_utf8(self.bytes.get(self.at..self.at + 4)?).ok()?;
            self.at += 4;
            u32::from_str_radix(digits, 16).ok()
        }
    }
}

const DEFAULT_SOCKET: &str = "/run/xen-domid/xen-domid.sock";
const TIMEOUT: Duration = Duration::from_secs(6);
const INVALID_PARAMS: i64 = -32602;

enum Failure {
    /// An invalid request: asking again does not help.
    Refused(String),
    /// The service or the hypervisor did not answer in time. Says nothing about the UUID.
    Unavailable(String),
    /// A retry on a new connection may succeed.
    Passing(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Passing(error)
    }
}

fn malformed() -> Failure {
    Failure::Unavailable("the process on the socket is not xen-domid".into())
}

fn socket_path() -> String {
    let path = env::var("XEN_DOMID_SOCKET").ok().filter(|path| !path.is_empty());
    path.unwrap_or_else(|| DEFAULT_SOCKET.into())
}

struct Connection {
    lines: BufReader<UnixStream>,
}

impl Connection {
    fn open() -> io::Result<Connection> {
        let socket = UnixStream::connect(socket_path())?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Connection { lines: BufReader::new(socket) })
    }

    /// Sends one request, of which at most one may be pending. `params` is JSON.
    fn call(&mut self, method: &str, params: &str) -> Result<Json, Failure> {
        let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}\n");
        self.lines.get_mut().write_all(request.as_bytes())?;
        let reply = self.read()?;
        if let Some(error) = reply.get("error") {
            let message = error.text("message").unwrap_or_default().to_string();
            let refused = error.get("code").and_then(Json::int) == Some(INVALID_PARAMS);
            return Err(if refused { Failure::Refused(message) } else { Failure::Unavailable(message) });
        }
        take(reply, "result").ok_or_else(malformed)
    }

    fn read(&mut self) -> Result<Json, Failure> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Json::parse(&line).ok_or_else(malformed)
    }
}

fn take(message: Json, name: &str) -> Option<Json> {
    match message {
        Json::Object(fields) => fields.into_iter().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}

/// Retries on a new connection until the timeout. This is safe: all methods only read.
fn ask(method: &str, params: &str) -> Result<Json, Failure> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match Connection::open().map_err(Failure::from).and_then(|mut c| c.call(method, params)) {
            Err(Failure::Passing(error)) if Instant::now() > deadline => {
                return Err(Failure::Unavailable(format!("no answer at {}: {error}", socket_path())))
            }
            Err(Failure::Passing(_)) => thread::sleep(Duration::from_millis(200)),
            answer => return answer,
        }
    }
}

/// Returns the live domids that have this UUID: none, one or several.
fn lookup(uuid: &str) -> Result<Vec<i64>, Failure> {
    if !uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(Failure::Refused("this is not a UUID".into()));
    }
    let answer = ask("domid", &format!("{{\"uuid\":\"{uuid}\"}}"))?;
    let one = answer.get("domid").into_iter();
    let several = answer.items("domids").unwrap_or_default().iter();
    Ok(one.chain(several).filter_map(Json::int).collect())
}

/// Passes on all domains at first, then every change. A later list of domains replaces everything before. Continues
/// from its last token after a restart of the service or a disconnect.
fn follow(on_feed: impl Fn(&Json)) -> ! {
    let mut token = None;
    loop {
        let _ = follow_once(&mut token, &on_feed);
        thread::sleep(Duration::from_millis(500));
    }
}

fn follow_once(token: &mut Option<String>, on_feed: &impl Fn(&Json)) -> Result<(), Failure> {
    let mut connection = Connection::open()?;
    let params = token.as_ref().map_or("{}".into(), |token| format!("{{\"token\":\"{token}\"}}"));
    let mut said = connection.call("subscribe", &params)?;
    connection.lines.get_ref().set_read_timeout(None)?;
    loop {
        on_feed(&said);
        *token = said.text("token").map(str::to_string);
        said = take(connection.read()?, "params").ok_or_else(malformed)?;
    }
}

fn print_domain(head: &str, domain: &Json) {
    let domid = domain.get("domid").and_then(Json::int).unwrap_or(-1);
    println!("{head}{domid} {}", domain.text("uuid").unwrap_or_default());
}

fn run() -> Result<i32, Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lookup", uuid] => {
            let domids = lookup(uuid)?;
            domids.iter().for_each(|domid| println!("{domid}"));
            Ok(match domids.len() {
                0 => 1,
                1 => 0,
                _ => 3,
            })
        }
        ["list"] => {
            let answer = ask("list", "{}")?;
            let domains = answer.items("domains").ok_or_else(malformed)?;
            domains.iter().for_each(|domain| print_domain("", domain));
            Ok(0)
        }
        ["watch"] => follow(|said| {
            if let Some(domains) = said.items("domains") {
                println!("snapshot {}", domains.len());
            }
            for change in said.items("changes").unwrap_or_default() {
                print_domain(&format!("{} ", change.text("kind").unwrap_or_default()), change);
            }
        }),
        _ => Err(Failure::Refused("domid lookup UUID | list | watch".into())),
    }
}

fn main() {
    process::exit(match run() {
        Ok(status) => status,
        Err(Failure::Refused(message)) => {
            eprintln!("{message}");
            2
        }
        Err(Failure::Unavailable(message)) => {
            eprintln!("{message}");
            4
        }
        Err(Failure::Passing(error)) => {
            eprintln!("{error}");
            4
        }
    });
}
