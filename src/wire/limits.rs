//! Every limit, named, in one place: printed by `daust version -v`, documented in herd.7, tested
//! at its edge. What passes a limit is refused with an error that names it; nothing is cut in
//! silence.

/// Largest UDP payload sent or accepted, bytes.
pub const DATAGRAM_BYTES: usize = 1_200;
/// Length a hello question is padded to, so that no answer is longer than its question, bytes.
pub const HELLO_BYTES: usize = 1_152;
/// Largest frame on a stream or the control socket, bytes.
pub const FRAME_BYTES: usize = 1 << 20;
/// Largest frame, and bytes held in all, for a stream whose peer has not proved itself, bytes.
pub const UNPROVED_FRAME_BYTES: usize = 64 << 10;
/// How long a stream may stay unproved, milliseconds.
pub const UNPROVED_MS: u64 = 3_000;
/// Streams open at once.
pub const STREAMS: usize = 256;
/// Streams open at once whose peer has not proved itself.
pub const UNPROVED_STREAMS: usize = 64;
/// Unproved streams from one source address.
pub const UNPROVED_STREAMS_PER_SOURCE: usize = 8;
/// Dials under way at once.
pub const DIALS: usize = 64;
/// How long a dial may take, milliseconds.
pub const DIAL_MS: u64 = 3_000;
/// Bytes queued for a stream whose peer does not read; over it the stream is closed.
pub const STREAM_BUFFER_BYTES: usize = 2 << 20;
/// Bytes read from one stream or client in one turn of the loop.
pub const READ_BYTES_PER_TURN: usize = 256 << 10;
/// How long a stream or client that was hung up may take to drain, milliseconds.
pub const DRAIN_MS: u64 = 3_000;
/// How long nothing is accepted after the process ran out of file descriptors, milliseconds.
pub const ACCEPT_AGAIN_MS: u64 = 500;
/// End-to-end channels on one stream.
pub const CHANNELS_PER_STREAM: usize = 256;
/// Bytes one end may send on a channel before the other grants more.
pub const CHANNEL_WINDOW_BYTES: u32 = 64 << 10;
/// Bytes queued for one channel while its window is closed.
pub const CHANNEL_QUEUE_BYTES: usize = 1 << 20;
/// Byte pipes to and from one node at once, and of them with any one other.
pub const PIPES: usize = 32;
pub const PIPES_A_PEER: usize = 8;
/// Bytes that one end of a pipe may send before the other end has taken them.
pub const PIPE_WINDOW_BYTES: usize = 64 << 10;
/// Bytes of one piece of a pipe.
pub const PIPE_PIECE_BYTES: usize = 15 << 10;
/// Bytes of one part of a long reply.
pub const PART_BYTES: usize = 16 << 10;
/// Parts of one node's reply.
pub const PARTS: usize = 256;
/// Times a datagram or an opened channel may be handed on.
pub const HOPS: u8 = 16;
/// Rumors that wait to be told on. Of more records at once, as when a large herd starts, the rest is
/// pulled.
pub const RUMORS: usize = 256;
/// Nodes known at once in an open herd, the remembered dead included.
pub const NODES: usize = if cfg!(feature = "large") { 4_096 } else { 1_024 };
/// Remembered nodes that are down or left; the one silent for longest goes first.
pub const REMEMBERED_DEAD: usize = 1_024;
/// Ids made known for the first time by one source address in a minute.
pub const NEW_IDS_PER_MINUTE: u32 = 64;
/// Requests under way at once, own and others' together.
pub const REQUESTS: usize = 1_024;
/// Requests of others remembered as carried out, so that none is carried out twice; the oldest
/// goes first.
pub const REQUESTS_REMEMBERED: usize = 16_384;
/// Commands that change something, of one node in one second.
pub const CHANGES_PER_SECOND: u32 = 8;
/// How long the answer to a request is waited for unless `-t` says else, milliseconds.
pub const ANSWER_MS: u64 = 5_000;
/// Longest time-out a request may ask for, milliseconds.
pub const ANSWER_MAX_MS: u64 = 600_000;
/// Nodes that greeted and have not proved themselves yet.
pub const PENDING_HELLOS: usize = 256;
/// Hellos answered in one second, all sources together.
pub const HELLOS_PER_SECOND: u32 = 256;
/// Hellos answered in one second for one source address and port.
pub const HELLOS_PER_SOURCE: u32 = 4;
/// The same for one address, whatever its ports: one host alone fills no table of ours.
pub const HELLOS_PER_ADDRESS: u32 = 64;
/// Greeters outside the herd told why they are refused in one second, all together.
pub const REFUSALS_PER_SECOND: u32 = 64;
/// The same for one source address.
pub const REFUSALS_PER_SOURCE: u32 = 1;
/// Sources counted for the limits of hellos; while so many greet, others wait. A whole herd may start
/// at once.
pub const HELLO_SOURCES: usize = NODES;
/// Addresses greeted at once: typed, given by `-k`, remembered, gateways.
pub const CONTACTS: usize = 256;
/// Addresses found by discovery that are looked at; beyond it discovery rests.
pub const DISCOVERED: usize = 256;
/// Interval of heartbeats to a home, milliseconds.
pub const HEARTBEAT_MS: u64 = 1_000;
/// Heartbeats missed in a row before a home counts as silent.
pub const HEARTBEATS_MISSED: u64 = 3;
/// How long a directly reached peer may take to acknowledge, milliseconds, before the round-trip
/// time of its path is added. MeshNet's `timeout`.
pub const TIMEOUT_MS: u64 = 100;
/// Peers asked for their vote before a node is declared down.
pub const VOTERS: usize = 9;
/// Bytes of a node's name.
pub const NAME_BYTES: usize = 63;
/// How long after it was last heard a node that is down or left is forgotten: cattle, and an
/// ephemeral one after its goodbye or its host's word. Milliseconds.
pub const CATTLE_MS: u64 = 3_600_000;
pub const EPHEMERAL_MS: u64 = 60_000;
/// Containers of this machine that are watched at once; more are not seen to end.
pub const GUESTS: usize = 256;
/// Bytes of one answer of the Engine that runs them, and of one event it tells.
pub const ENGINE_ANSWER_BYTES: usize = 4 << 20;
pub const ENGINE_EVENT_BYTES: usize = 64 << 10;
/// Addresses one node may say it has.
pub const ADDRESSES: usize = 8;
/// Attributes in one record, and bytes of a key or value.
pub const ATTRIBUTES: usize = 8;
pub const ATTRIBUTE_BYTES: usize = 64;
/// Bytes of a signed record.
pub const RECORD_BYTES: usize = 700;
/// Keys of one herd that a node holds at once; the oldest goes first.
pub const KEYS: usize = 4;
/// How long a key is held after a newer one came, seconds.
pub const KEY_GRACE_S: u64 = 7 * 24 * 3_600;
/// How many epochs after our newest key one that another node hands over may be.
pub const KEY_EPOCHS_AHEAD: u32 = 1_024;
/// How long who has no key is heard after an open herd was given one, seconds.
pub const OPEN_GRACE_S: u64 = 600;
/// Nodes shut out of a herd that are remembered.
pub const REVOKED: usize = 64;
/// Join tokens of one node that wait to be used.
pub const TOKENS: usize = 16;
/// How long a join token is good, milliseconds.
pub const TOKEN_MS: u64 = 600_000;
/// Entries of the journal: what became of the herd, commands that change something, and strangers
/// who were refused; of each the oldest goes first.
pub const JOURNAL_EVENTS: usize = 2_048;
pub const JOURNAL_COMMANDS: usize = 512;
pub const JOURNAL_STRANGERS: usize = 64;
/// Bytes of a journal entry's text, and of why a command failed; what is longer ends with ...
pub const JOURNAL_TEXT_BYTES: usize = 200;
/// Ways to other nodes and addresses examined (`doctor`) at once.
pub const EXAMINATIONS: usize = 16;
/// Control clients connected at once.
pub const CLIENTS: usize = 64;
/// Of these, places that only root and the daemon's own user get.
pub const CLIENTS_OF_MASTERS: usize = 8;
/// How long a control client may ask nothing while others wait for its place, milliseconds.
pub const CLIENT_SILENT_MS: u64 = 50;
/// Bytes queued for one control client that does not read; over it the client is dropped.
pub const CLIENT_BUFFER_BYTES: usize = 4 << 20;
/// Connections of programs that ask for metrics, at once; who comes then waits.
pub const METRICS_CLIENTS: usize = 16;
/// Bytes, and headers, of a request for metrics.
pub const METRICS_REQUEST_BYTES: usize = 8 << 10;
pub const METRICS_HEADERS: usize = 64;
/// How long such a request may take to come, and its answer to be read, milliseconds.
pub const METRICS_REQUEST_MS: u64 = 3_000;
pub const METRICS_ANSWER_MS: u64 = 10_000;
/// Batches waiting to be written to the state directory; over it the write is refused.
pub const KEEP_BATCHES: usize = 64;
/// Log lines waiting to be written; over it they are counted and lost.
pub const LOG_QUEUE: usize = 1_024;
/// Log lines of one subject in [`LOG_WINDOW_MS`]; over it they are counted and left out.
pub const LOG_LINES: u32 = 50;
/// Debug lines (`-v`) of one subject in [`LOG_WINDOW_MS`].
pub const LOG_DEBUG_LINES: u32 = 5_000;
/// The window of the two limits above, milliseconds.
pub const LOG_WINDOW_MS: u64 = 10_000;
/// Bytes of one log line.
pub const LOG_LINE_BYTES: usize = 2_048;
/// Addresses or routes read from the kernel, bytes of one table.
pub const ROUTE_TABLE_BYTES: u64 = 64 << 10;
/// How old the picture of the own addresses may get, milliseconds, and how old where the kernel
/// does not tell of changes.
pub const ADDRESSES_MS: u64 = 10_000;
pub const ADDRESSES_UNTOLD_MS: u64 = 2_000;
/// Least time between two looks at the own addresses, milliseconds.
pub const ADDRESSES_SETTLE_MS: u64 = 200;
/// Bytes of a file that holds a herd key.
pub const KEY_FILE_BYTES: u64 = 4 << 10;
/// Bytes of the configuration file.
pub const CONFIGURATION_BYTES: u64 = 64 << 10;
/// Homes given by `-k`.
pub const HOMES: usize = 16;
/// Datagrams or frames read from one source in one turn of the loop.
pub const READS_PER_TURN: usize = 64;
/// Addresses of peers of which is remembered what address of ours they talk to, and for how long
/// after their last datagram, milliseconds: mappings of NATs live about so long.
pub const PEERS_ANSWERED: usize = 1_024;
pub const PEERS_ANSWERED_MS: u64 = 30_000;
/// A turn this late means that the process slept: it accuses nobody. Milliseconds.
pub const SLEPT_MS: u64 = 2_000;
/// Least time between two renewals of a node's generation out of doubt in itself, milliseconds.
pub const RENEWAL_MS: u64 = 60_000;
/// Least time between two renewals because others hold a verdict against it, milliseconds.
pub const UNDEAD_RENEWAL_MS: u64 = 5_000;
/// How long a stopping node goes on relaying what is under way, milliseconds.
pub const GOODBYE_MS: u64 = 2_000;

/// Name, value, unit: what `daust version -v` prints.
pub const TABLE: &[(&str, u64, &str)] = &[
    ("datagram", DATAGRAM_BYTES as u64, "bytes"),
    ("hello", HELLO_BYTES as u64, "bytes"),
    ("frame", FRAME_BYTES as u64, "bytes"),
    ("frame before proof", UNPROVED_FRAME_BYTES as u64, "bytes"),
    ("proof wait", UNPROVED_MS, "ms"),
    ("hops", HOPS as u64, ""),
    ("rumors waiting", RUMORS as u64, ""),
    ("known nodes", NODES as u64, ""),
    ("remembered dead", REMEMBERED_DEAD as u64, ""),
    ("new ids a source", NEW_IDS_PER_MINUTE as u64, "a minute"),
    ("streams", STREAMS as u64, ""),
    ("unproved streams", UNPROVED_STREAMS as u64, ""),
    ("unproved streams a source", UNPROVED_STREAMS_PER_SOURCE as u64, ""),
    ("dials", DIALS as u64, ""),
    ("dial wait", DIAL_MS, "ms"),
    ("stream buffer", STREAM_BUFFER_BYTES as u64, "bytes"),
    ("drain wait", DRAIN_MS, "ms"),
    ("accept again", ACCEPT_AGAIN_MS, "ms"),
    ("channels a stream", CHANNELS_PER_STREAM as u64, ""),
    ("channel window", CHANNEL_WINDOW_BYTES as u64, "bytes"),
    ("channel queue", CHANNEL_QUEUE_BYTES as u64, "bytes"),
    ("pipes", PIPES as u64, ""),
    ("pipes a peer", PIPES_A_PEER as u64, ""),
    ("pipe window", PIPE_WINDOW_BYTES as u64, "bytes"),
    ("pipe piece", PIPE_PIECE_BYTES as u64, "bytes"),
    ("reply part", PART_BYTES as u64, "bytes"),
    ("parts a reply", PARTS as u64, ""),
    ("requests under way", REQUESTS as u64, ""),
    ("requests remembered", REQUESTS_REMEMBERED as u64, ""),
    ("changes a node", CHANGES_PER_SECOND as u64, "a second"),
    ("answer wait", ANSWER_MS, "ms"),
    ("answer wait at most", ANSWER_MAX_MS, "ms"),
    ("pending hellos", PENDING_HELLOS as u64, ""),
    ("hellos", HELLOS_PER_SECOND as u64, "a second"),
    ("hellos a source", HELLOS_PER_SOURCE as u64, "a second"),
    ("hellos an address", HELLOS_PER_ADDRESS as u64, "a second"),
    ("refusals", REFUSALS_PER_SECOND as u64, "a second"),
    ("refusals a source", REFUSALS_PER_SOURCE as u64, "a second"),
    ("hello sources", HELLO_SOURCES as u64, ""),
    ("contacts", CONTACTS as u64, ""),
    ("discovered addresses", DISCOVERED as u64, ""),
    ("heartbeat", HEARTBEAT_MS, "ms"),
    ("heartbeats missed", HEARTBEATS_MISSED, ""),
    ("timeout", TIMEOUT_MS, "ms"),
    ("voters", VOTERS as u64, ""),
    ("name", NAME_BYTES as u64, "bytes"),
    ("cattle forgotten", CATTLE_MS, "ms"),
    ("ephemeral forgotten", EPHEMERAL_MS, "ms"),
    ("containers watched", GUESTS as u64, ""),
    ("engine answer", ENGINE_ANSWER_BYTES as u64, "bytes"),
    ("engine event", ENGINE_EVENT_BYTES as u64, "bytes"),
    ("addresses", ADDRESSES as u64, ""),
    ("attributes", ATTRIBUTES as u64, ""),
    ("attribute", ATTRIBUTE_BYTES as u64, "bytes"),
    ("record", RECORD_BYTES as u64, "bytes"),
    ("herd keys held", KEYS as u64, ""),
    ("herd key grace", KEY_GRACE_S, "s"),
    ("herd key epochs ahead", KEY_EPOCHS_AHEAD as u64, ""),
    ("open after adoption", OPEN_GRACE_S, "s"),
    ("revoked nodes", REVOKED as u64, ""),
    ("join tokens", TOKENS as u64, ""),
    ("join token", TOKEN_MS, "ms"),
    ("journal of events", JOURNAL_EVENTS as u64, "entries"),
    ("journal of commands", JOURNAL_COMMANDS as u64, "entries"),
    ("journal of strangers", JOURNAL_STRANGERS as u64, "entries"),
    ("journal text", JOURNAL_TEXT_BYTES as u64, "bytes"),
    ("examinations", EXAMINATIONS as u64, ""),
    ("control clients", CLIENTS as u64, ""),
    ("clients of root", CLIENTS_OF_MASTERS as u64, ""),
    ("silent client", CLIENT_SILENT_MS, "ms"),
    ("client buffer", CLIENT_BUFFER_BYTES as u64, "bytes"),
    ("metrics clients", METRICS_CLIENTS as u64, ""),
    ("metrics request", METRICS_REQUEST_BYTES as u64, "bytes"),
    ("metrics headers", METRICS_HEADERS as u64, ""),
    ("metrics request wait", METRICS_REQUEST_MS, "ms"),
    ("metrics answer wait", METRICS_ANSWER_MS, "ms"),
    ("writes waiting", KEEP_BATCHES as u64, ""),
    ("log queue", LOG_QUEUE as u64, "lines"),
    ("log lines a subject", LOG_LINES as u64, "in 10 s"),
    ("debug lines a subject", LOG_DEBUG_LINES as u64, "in 10 s"),
    ("log line", LOG_LINE_BYTES as u64, "bytes"),
    ("route table", ROUTE_TABLE_BYTES, "bytes"),
    ("key file", KEY_FILE_BYTES, "bytes"),
    ("configuration", CONFIGURATION_BYTES, "bytes"),
    ("homes", HOMES as u64, ""),
    ("reads a turn", READS_PER_TURN as u64, ""),
    ("stream reads a turn", READ_BYTES_PER_TURN as u64, "bytes"),
    ("own addresses read", ADDRESSES_MS, "ms"),
    ("peers answered", PEERS_ANSWERED as u64, ""),
    ("peers answered from", PEERS_ANSWERED_MS, "ms"),
    ("renewal", RENEWAL_MS, "ms"),
    ("renewal after a verdict", UNDEAD_RENEWAL_MS, "ms"),
];
