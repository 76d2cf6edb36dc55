//! Whether a port may take one more connection: none can take the places of all. Pure.

/// A port's share of a worker's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Connections that it has.
    pub(crate) open: usize,
    /// Whether it is the port that asks.
    pub(crate) asks: bool,
}

/// A quarter of the places is kept, in equal parts, for ports that haven't taken their part yet.
const KEPT: usize = 4;

/// Whether the port that asks may take one more of `most` connections.
pub(crate) fn has_room(most: usize, ports: impl Iterator<Item = Room> + Clone) -> bool {
    let count = ports.clone().count().max(1);
    let part = most / KEPT / count;
    let taken: usize = ports
        .map(|port| if port.asks { port.open } else { port.open.max(part) })
        .fold(0, usize::saturating_add);
    taken < most
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rooms(open: &[usize], asks: usize) -> impl Iterator<Item = Room> + Clone {
        open.iter().enumerate().map(move |(index, open)| Room { open: *open, asks: index == asks })
    }

    #[test]
    fn a_port_alone_takes_all() {
        assert!(has_room(100, rooms(&[99], 0)));
        assert!(!has_room(100, rooms(&[100], 0)));
    }

    #[test]
    fn another_keeps_its_part() {
        assert!(has_room(100, rooms(&[87, 0], 0)));
        assert!(!has_room(100, rooms(&[88, 0], 0)));
        assert!(has_room(100, rooms(&[88, 11], 1)));
        assert!(!has_room(100, rooms(&[88, 12], 1)));
    }

    proptest! {
        #[test]
        fn never_more_than_there_are_and_everyone_gets_some(
            most in 16_usize..500, asking in proptest::collection::vec(0_usize..3, 0..2000),
        ) {
            let mut open = [0; 3];
            for port in asking {
                if has_room(most, rooms(&open, port)) {
                    open[port] += 1;
                }
            }
            prop_assert!(open.iter().sum::<usize>() <= most);
            for port in 0..3 {
                let has_part = open[port] >= most / KEPT / 3;
                prop_assert!(has_part || has_room(most, rooms(&open, port)), "{open:?}");
            }
        }
    }
}
