//! The packed output read a second time, by the words of `transforms/wit/transform.wit`; shared with the fuzz target.

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn some(&mut self, count: usize) -> Option<&'a [u8]> {
        if count > self.end - self.at {
            return None;
        }
        self.at += count;
        Some(&self.bytes[self.at - count..self.at])
    }

    fn byte(&mut self) -> Option<u8> {
        self.some(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<usize> {
        Some((0..4).map(|place| 256usize.pow(place)).zip(self.some(4)?).map(|(unit, byte)| unit * *byte as usize).sum())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.some(length)?).ok()
    }

    fn opt_text(&mut self) -> Option<Option<&'a str>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.text().map(Some),
            _ => None,
        }
    }
}

/// One text for each record and log line; `None` if the layout is broken.
pub fn read(output: &[u8]) -> Option<Vec<String>> {
    let mut cursor = Cursor { bytes: output, at: 0, end: output.len() };
    let mut told = Vec::new();
    for _ in 0..cursor.number()? {
        let length = cursor.number()?;
        let end = cursor.at + cursor.some(length)?.len();
        told.push(record(Cursor { bytes: output, at: end - length, end })?);
    }
    if cursor.at == output.len() {
        return Some(told);
    }
    for _ in 0..cursor.number()? {
        let level = cursor.byte().filter(|level| *level < 4)?;
        told.push(format!("line {level} {:?}", cursor.text()?));
    }
    (cursor.at == output.len()).then_some(told)
}

fn record(mut cursor: Cursor<'_>) -> Option<String> {
    let id_length = cursor.number()?;
    let id = cursor.some(id_length)?;
    let status = cursor.byte()?;
    let data = match cursor.number()? {
        0xffff_ffff => None,
        length => Some(cursor.some(length)?),
    };
    let (mut keys, mut table, mut message) = (Vec::new(), None, None);
    if cursor.at < cursor.end {
        for _ in 0..cursor.number()? {
            keys.push((cursor.text()?, cursor.text()?));
        }
    }
    if cursor.at < cursor.end {
        match cursor.byte()? {
            0 => {}
            1 => {
                let names = (cursor.opt_text()?, cursor.opt_text()?);
                let operation = cursor.byte().filter(|operation| *operation <= 3)?;
                table = Some((names.0, names.1, operation));
            }
            _ => return None,
        }
    }
    if cursor.at < cursor.end {
        message = cursor.opt_text()?;
    }
    Some(format!("{id:?} {:?} {data:?} {keys:?} {table:?} {message:?}", (status < 3).then_some(status)))
}
