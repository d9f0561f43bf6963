//! How a body is walked without copying. `None` from any step means: not for us, take the ordinary path.

use super::Data;

/// An open map or list.
pub(crate) struct Open {
    /// How many elements it has; `None`: until its end comes.
    pub(crate) length: Option<u64>,
    /// How many were begun.
    pub(crate) taken: u64,
}

/// A walk over a body from its start to its end.
pub(crate) trait Scan<'a> {
    /// Enters a map.
    fn open_map(&mut self) -> Option<Open>;
    /// The next member's name, its value follows; or the end of the map (`Some(None)`), which it leaves.
    fn member(&mut self, open: &mut Open) -> Option<Option<&'a [u8]>>;
    /// Enters a list.
    fn open_list(&mut self) -> Option<Open>;
    /// Whether another element follows; if not, it leaves the list.
    fn element(&mut self, open: &mut Open) -> Option<bool>;
    /// Text.
    fn text(&mut self) -> Option<&'a str>;
    /// A blob.
    fn data(&mut self) -> Option<Data<'a>>;
    /// A whole number that is not negative.
    fn number(&mut self) -> Option<i64>;
    /// Whether nothing but white space is left.
    fn ended(&mut self) -> bool;
    /// What is left.
    fn rest(&self) -> &'a [u8];
    /// Leaves out so many bytes of the rest.
    ///
    /// # Panics
    /// When there are not so many.
    fn skip(&mut self, bytes: usize);
    /// The text that these bytes are, if [`Scan::text`] may find it so.
    fn text_of(bytes: &'a [u8]) -> Option<&'a str>;
    /// The blob that these bytes are, if [`Scan::data`] may find it so, or if it does not decode.
    fn data_of(bytes: &'a [u8]) -> Option<Data<'a>>;
}

/// Stores a member's value; declines the second one of a name.
pub(crate) fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value?);
    Some(())
}
