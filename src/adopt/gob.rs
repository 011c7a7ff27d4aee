//! Reads and writes the one shape of Go's `gob` encoding that Owncast's settings need: a single string.
//!
//! Format: golang.org/pkg/encoding/gob, "Encoding Details". A message is its length, a type id, a zero byte (a value
//! that is no struct) and the value. Checked against a recorded database.

/// Type id of a string in a message's head, as an encoded signed number.
const STRING: u64 = 0x0c;

/// Why bytes are no gob string. Carries no content: the value may be a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GobError {
    /// It ends too early.
    #[error("it is cut off")]
    Truncated,
    /// A number takes more than eight bytes.
    #[error("a number in it is too large")]
    NumberTooLarge,
    /// The stated lengths do not fill the value exactly.
    #[error("its lengths do not add up")]
    WrongLength,
    /// Another type.
    #[error("it is no string")]
    NotAString,
    /// The bytes are no text.
    #[error("its text is not UTF-8")]
    NotUtf8,
}

/// Reads a message that holds one string.
///
/// # Errors
/// When it is anything else, or has anything before or after it.
pub fn decode_string(message: &[u8]) -> Result<&str, GobError> {
    let (length, body) = unsigned(message)?;
    fills(length, body)?;
    let (type_id, rest) = unsigned(body)?;
    if type_id != STRING {
        return Err(GobError::NotAString);
    }
    let rest = match rest.split_first() {
        Some((0, rest)) => rest,
        Some(_) => return Err(GobError::NotAString),
        None => return Err(GobError::Truncated),
    };
    let (length, text) = unsigned(rest)?;
    fills(length, text)?;
    std::str::from_utf8(text).map_err(|_| GobError::NotUtf8)
}

/// Exactly as many bytes as announced.
fn fills(announced: u64, bytes: &[u8]) -> Result<(), GobError> {
    match u64::try_from(bytes.len()).unwrap_or(u64::MAX).cmp(&announced) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(GobError::Truncated),
        std::cmp::Ordering::Greater => Err(GobError::WrongLength),
    }
}

/// Below 128 the number itself; else the negated count of bytes, then these, largest first.
fn unsigned(bytes: &[u8]) -> Result<(u64, &[u8]), GobError> {
    let (first, rest) = bytes.split_first().ok_or(GobError::Truncated)?;
    if *first < 0x80 {
        return Ok((u64::from(*first), rest));
    }
    let count = usize::from(first.wrapping_neg());
    if count > 8 {
        return Err(GobError::NumberTooLarge);
    }
    let (digits, rest) = rest.split_at_checked(count).ok_or(GobError::Truncated)?;
    Ok((digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)), rest))
}

/// Writes a message that holds one string, as Go does.
pub fn encode_string(text: &str) -> Vec<u8> {
    let body = [&[0x0c, 0][..], &encode_unsigned(text.len() as u64), text.as_bytes()].concat();
    [encode_unsigned(body.len() as u64), body].concat()
}

fn encode_unsigned(number: u64) -> Vec<u8> {
    if number < 0x80 {
        return vec![number as u8];
    }
    let zeros = (number.leading_zeros() / 8) as usize;
    let digits: Vec<u8> = number.to_be_bytes().into_iter().skip(zeros).collect();
    [vec![(digits.len() as u8).wrapping_neg()], digits].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_as_owncast_stores_them() {
        let table: [(&[u8], &str); 4] = [
            (b"\x08\x0c\x00\x05hello", "hello"),
            (b"\x03\x0c\x00\x00", ""),
            (b"\x17\x0c\x00\x14https://live.example", "https://live.example"),
            (b"\x0b\x0c\x00\x08streamer", "streamer"),
        ];
        for (bytes, text) in table {
            assert_eq!(decode_string(bytes), Ok(text));
            assert_eq!(encode_string(text), bytes);
        }
    }

    #[test]
    fn long_strings_have_lengths_of_several_bytes() {
        for length in [127, 128, 255, 256, 1675, 65_535, 65_536, 1 << 24] {
            let text = "k".repeat(length);
            assert_eq!(decode_string(&encode_string(&text)), Ok(text.as_str()), "{length}");
        }
    }

    #[test]
    fn hostile_and_foreign_input_is_refused() {
        let table: [(&[u8], GobError); 15] = [
            (b"", GobError::Truncated),
            (b"\x08", GobError::Truncated),
            (b"\x08\x0c\x00\x05hell", GobError::Truncated),
            (b"\x01\x0c", GobError::Truncated),
            (b"\x02\x0c\x00", GobError::Truncated),
            (b"\xfe\x01", GobError::Truncated),
            (b"\x08\x0c\x00\x05hello!", GobError::WrongLength),
            (b"\x09\x0c\x00\x05hello!", GobError::WrongLength),
            (b"\x08\x0c\x00\x06hello", GobError::Truncated),
            (b"\x03\x02\x00\x01", GobError::NotAString),
            (b"\x08\x0c\x01\x05hello", GobError::NotAString),
            (b"\x05\x0c\x00\x02\xff\xfe", GobError::NotUtf8),
            (b"\x80\x0c\x00\x00", GobError::NumberTooLarge),
            (b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x0c\x00\x00", GobError::Truncated),
            (b"\x0b\x0c\x00\xf8\xff\xff\xff\xff\xff\xff\xff\xff", GobError::Truncated),
        ];
        for (bytes, error) in table {
            assert_eq!(decode_string(bytes), Err(error), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(text in any::<String>()) {
            let encoded = encode_string(&text);
            prop_assert_eq!(decode_string(&encoded), Ok(text.as_str()));
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(text) = decode_string(&bytes) {
                prop_assert!(text.len() < bytes.len());
            }
        }
    }
}
