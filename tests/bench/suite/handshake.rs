//! What one TLS handshake costs the side that calls, without a network.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use openssl::ssl::{Error, ErrorCode, SslConnector, SslMethod, SslStream};
use openssl::x509::X509;

use super::certificates::Authority;
use super::loopback::RECEIVERS;

/// One direction of a connection that is only memory.
type Way = Rc<RefCell<VecDeque<u8>>>;

struct End {
    here: Way,
    there: Way,
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.here.borrow_mut().read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for End {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.there.borrow_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Time of the calling side for a handshake with a server of the fan-outs, its certificate checked: of `rounds` the
/// one that the machine disturbed least.
pub fn cost(rounds: usize) -> anyhow::Result<Duration> {
    let authority = Authority::new()?;
    let context = authority.context(false)?;
    let address = RECEIVERS.address(0)?;
    let certificate = authority.server(address)?;
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.cert_store_mut().add_cert(X509::from_pem(&authority.pem()?)?)?;
    let connector = connector.build();
    let mut best = Duration::MAX;
    for _ in 0..rounds.max(1) {
        let (to_server, to_client) = (Way::default(), Way::default());
        let end = |here: &Way, there: &Way| End { here: Rc::clone(here), there: Rc::clone(there) };
        let server = authority.session(&context, &certificate)?;
        let mut server = SslStream::new(server, end(&to_server, &to_client))?;
        let mut spent = Duration::ZERO;
        let mut timed = Instant::now();
        let client = connector.configure()?.into_ssl(&address.to_string())?;
        let mut client = SslStream::new(client, end(&to_client, &to_server))?;
        loop {
            let done = finished(client.connect())?;
            spent += timed.elapsed();
            finished(server.accept())?;
            timed = Instant::now();
            if done {
                break;
            }
        }
        best = best.min(spent);
    }
    Ok(best)
}

/// False if the other side has to say something first.
fn finished(step: Result<(), Error>) -> anyhow::Result<bool> {
    match step {
        Ok(()) => Ok(true),
        Err(cause) if cause.code() == ErrorCode::WANT_READ => Ok(false),
        Err(cause) => Err(cause.into()),
    }
}
