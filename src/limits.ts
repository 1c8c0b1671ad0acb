/**
 * Every bound of Weir, each with its reason, by what it bounds: this is the one door to all of them. A room that needs a
 * new bound adds it to the file of its noun. Sizes are in bytes, times in milliseconds, unless the name says otherwise.
 */
export * from "./limits/assignment.js";
export * from "./limits/callout.js";
export * from "./limits/experiment.js";
export * from "./limits/gateway.js";
export * from "./limits/identity.js";
export * from "./limits/ingest.js";
export * from "./limits/predictor.js";
export * from "./limits/resource.js";
export * from "./limits/state.js";
export * from "./limits/telemetry.js";
export * from "./limits/token.js";
export * from "./limits/xds.js";

/** The scale of all assignment arithmetic: parts per million (design: "Assignment, bit for bit"). */
export const PPM = 1_000_000;

/** Longest unit that executions outside Envoy take; Envoy's own bound is the header limit below. */
export const UNIT_BYTES_MAX = 65_536;

/** Gateway request header limit in KiB: Envoy's own default, and so the longest unit of the native form. */
export const GATEWAY_HEADERS_KIB = 60;

/** One resource document set: far above any real file, small enough to parse in one go. */
export const RESOURCE_FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Documents in one file or one apply. */
export const RESOURCE_DOCUMENTS_MAX = 5_000;

/** Arms of one experiment: each costs 2·(challengers) weighted entries per request table. */
export const ARMS_MAX = 16;

/** Arm weights are integers up to this, so that 10⁶·Σw stays an exact double. */
export const ARM_WEIGHT_MAX = 1_000_000;

/** POST body of outcomes: 10,000 rows of about 400 bytes. */
export const OUTCOMES_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Rows in one outcomes request. */
export const OUTCOMES_ROWS_MAX = 10_000;

/** How far in the future an outcome's time may lie: clock skew between hosts, nothing more. */
export const OUTCOME_CLOCK_SKEW_MS = 5_000;

/** Access-log entries waiting for the store; beyond it new ones are dropped and counted. */
export const ACCESS_LOG_QUEUE_MAX = 200_000;

/** Body of API requests: a whole resource file (RESOURCE_FILE_BYTES_MAX). */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** gRPC message limit: above the largest xDS push and access-log batch we make. */
export const GRPC_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Inference request body of a predictor. */
export const INFER_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Spans kept by the embedded store of recent spans. */
export const RECENT_SPANS_MAX = 100_000;

/** How often Envoy flushes its access-log buffer to ingest; evidence waits two of these (see settle). */
export const ACCESS_LOG_FLUSH_MS = 200;

/** Settling time of a metric when its Service has no timeout: after it an unfinished request is a failure. */
export const SETTLE_DEFAULT_MS = 5_000;

/** Longest wait of one long poll on the state: below the idle limits of common HTTP stacks, so none cuts it. */
export const STATE_LONG_POLL_MS_MAX = 60_000;

/** Decisions in one page: each carries its evidence (tens of KB), so a page stays in the low megabytes. */
export const DECISIONS_PAGE_MAX = 200;

/** Plans kept at the least, however old: a request may stay open across many quick ramps. */
export const PLANS_KEPT_MIN = 200;

/** Plans younger than this are all kept: no request but a stream lives longer, and evidence is long matured. */
export const PLAN_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest qualified name or salt that is looked up in the state file; LMDB keys end at 1,978 bytes. */
export const STATE_KEY_CHARS_MAX = 512;

/** Longest name of a person and reason of a verb: they are stored with every decision. */
export const PERSON_TEXT_CHARS_MAX = 1_000;

/** Connections to the API at once: people, CI and a few roles. */
export const API_CONNECTIONS_MAX = 1_000;

/** One request of a role to the state's owner, long polls' own wait not counted; then it counts as dead. */
export const STATE_CALL_TIMEOUT_MS = 10_000;

/** Inference requests admitted at once (bodies being read, queued and running): beyond it 503 with Retry-After. */
export const PREDICTOR_REQUESTS_MAX = 1_024;

/** Bytes of all inference bodies held at once: 16 of the largest, so that a flood of big tensors cannot fill the memory. */
export const PREDICTOR_BODY_BYTES_TOTAL_MAX = 16 * INFER_BODY_BYTES_MAX;

/** Requests handed to one session worker at once: one runs, one is at hand, the rest can still be cancelled. */
export const PREDICTOR_PIPELINE_MAX = 2;

/** Rank of a tensor in a request: ONNX models stay below it, and nesting this deep parses in bounded stack. */
export const TENSOR_RANK_MAX = 16;

/** Idle connection time of the predictor: above Envoy's own upstream idle timeout (1 h), so that Envoy closes first and no request meets a closing socket. */
export const PREDICTOR_KEEP_ALIVE_MS = 3_660_000;

/** First and longest pause before a dead session worker is replaced; doubled each time it dies young. */
export const WORKER_RESTART_MS = { first: 50, max: 5_000 } as const;

/** How long a closing predictor waits for running requests, and then for its workers. */
export const PREDICTOR_DRAIN_MS = 10_000;

/** Spans kept of one trace: above the spans of any request; a client that reuses one trace id fills no more. */
export const SPANS_PER_TRACE_MAX = 1_000;

/** Characters kept of one span attribute or name. */
export const SPAN_TEXT_CHARS_MAX = 256;

/** Body of one OTLP export: exporters send 512 spans of about 1 KB at a time. */
export const OTLP_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Spans of this process waiting for export; beyond it new ones are dropped. */
export const SPAN_EXPORT_QUEUE_MAX = 4_096;

/** Label sets of one metric; beyond it label values become "other", so that no client can grow a series. */
export const METRIC_LABEL_SETS_MAX = 1_000;

/** Longest wait of a stored access-log entry for its commit; an evidence query commits at once, so this only spares commits. */
export const ACCESS_LOG_COMMIT_MS = 500;

/** Access-log entries in one commit: about 60 ms of one core, so that an evidence query never waits long behind one. */
export const ACCESS_LOG_COMMIT_ROWS = 20_000;

/** Tries of the plan's owner for one plan version, and the pause before the next one; then its entries count as unreadable. */
export const PLAN_TRIES_MAX = 5;
export const PLAN_RETRY_MS = 200;

/** Plan versions held compiled: one per ramp or apply while a request may still name it. */
export const PLAN_CACHE_MAX = 200;

/** Pseudonyms and first exposures remembered in memory, in two generations of this size: about 40 MB. */
export const UNIT_CACHE_MAX = 100_000;

/** Newest requests that a new process reads for the arms that units had last (a second's work), and units it learns of. */
export const ARMS_RECALLED_ROWS = 2_000_000;
export const ARMS_RECALLED_MAX = 2 * UNIT_CACHE_MAX;

/** Outcome rows waiting for their commit: beyond it callers get 503 and try again. */
export const OUTCOMES_QUEUE_ROWS_MAX = 200_000;

/** Rows in one group commit of outcomes. */
export const OUTCOMES_COMMIT_ROWS = 50_000;

/** Longest Idempotency-Key: UUIDs and content hashes fit many times. */
export const IDEMPOTENCY_KEY_CHARS_MAX = 256;

/** How long an idempotency key is remembered: above any client's retries. */
export const IDEMPOTENCY_KEPT_MS = 24 * 60 * 60 * 1000;

/** Longest request id of an outcome: UUIDs and trace ids fit many times. */
export const REQUEST_ID_CHARS_MAX = 256;

/** Kept beyond the longest window and settling time: threshold freezing, outcomes that wait for their exposure, slow clocks. */
export const EVENTS_MARGIN_MS = 60 * 60 * 1000;

/** Units that are closed at once: so many times the number of metrics are held in memory, about 100 MiB for ten of them. */
export const CLOSING_UNITS = 131_072;

/** How far back a look for newer outcomes goes behind the last one: rows are dated when they come and seen once committed. */
export const NEWEST_OUTCOME_SLACK_MS = 10 * 60 * 1000;

/** How often ingest prunes and refreshes its gauges. */
export const EVENTS_MAINTENANCE_MS = 10_000;

/** Memory of the event store's engine; beyond it DuckDB spills to its temporary folder. */
export const EVENTS_MEMORY_MB = 1_024;

/** How long metric declarations are believed before control is asked again. */
export const METRICS_CACHE_MS = 1_000;

/** One aggregate query to ingest; then it counts as dead. */
export const EVIDENCE_TIMEOUT_MS = 10_000;

/** Body of one aggregate query: a few hundred metrics. */
export const EVIDENCE_BODY_BYTES_MAX = 256 * 1024;

/** Nodes of one resource document after aliases are expanded: a bomb of aliases ends here, a real file never does. */
export const RESOURCE_NODES_MAX = 200_000;

/** Nesting of one resource document: the deepest field of any kind lies at 7. */
export const RESOURCE_DEPTH_MAX = 32;

/** Problems reported at once: a file of another format would fill the screen with thousands. */
export const PROBLEMS_MAX = 200;

/** Longest duration in a resource: a year and a day; a longer one is a slip of the unit. */
export const DURATION_MS_MAX = 366 * 24 * 60 * 60 * 1000;

/** SPIFFE id (SPIFFE-ID specification 2.3). */
export const SPIFFE_ID_BYTES_MAX = 2_048;

/**
 * How long xds waits for an Envoy's answer before what depends on it goes on without. Most come in milliseconds,
 * but Envoy ACKs clusters only when they are warm (first DNS answer or health check, endpoints at the latest after
 * its initial_fetch_timeout of 15 s), and a route to a cluster that is not warm fails its requests.
 */
export const XDS_ACK_TIMEOUT_MS = 20_000;

/** One DiscoveryRequest: a node with its metadata, or the names of some ten thousand clusters. */
export const XDS_REQUEST_BYTES_MAX = 4 * 1024 * 1024;

/** Open ADS streams; each Envoy has one. */
export const XDS_STREAMS_MAX = 1_000;

/** Versions that xds remembers, so that an Envoy that comes back is known: a few per type and publication. */
export const XDS_SENT_VIEWS_MAX = 256;

/** How often an Envoy reports its load: what is under way now is news for a person, and the report costs next to nothing. */
export const LOAD_REPORT_MS = 10_000;

/** Exports of Envoy's spans being forwarded at once; a collector that hangs holds no more memory than this times 4 MB. */
export const OTLP_FORWARDS_MAX = 16;

/** Longest path of a UNIX socket: sun_path of Linux less the closing NUL (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

/** Parameters of one arm: each is a request header of every request of the arm. */
export const PARAMETERS_MAX = 16;

/** Longest life of a minted cookie: browsers keep none much longer (RFC 6265bis section 5.5: 400 days). */
export const COOKIE_AGE_MS_MAX = 366 * 24 * 60 * 60 * 1000;

/** One gRPC message to the sidecar: a CheckRequest or ProcessingRequest holds headers only, at most GATEWAY_HEADERS_KIB and their context. */
export const GRPC_CALLOUT_MESSAGE_BYTES_MAX = 1024 * 1024;

/** Unfinished gRPC messages of all calls to the sidecar together: 64 of the largest, far above what Envoys in step leave open. */
export const CALLOUT_PARTIAL_BYTES_MAX = 64 * GRPC_CALLOUT_MESSAGE_BYTES_MAX;

/**
 * Open calls on one connection to the sidecar. Where an Envoy needs more at once (CALLOUT_PROCESS_STREAMS_MAX) it opens
 * another connection.
 */
export const CALLOUT_STREAMS_MAX = 1_024;

/**
 * Calls by ext_authz that one Envoy lets wait at once; beyond them it answers 503 without waiting. Sidecar and Envoy take
 * some 150 µs of a core for one: more of them would all wait beyond the timeout of 200 ms, and none be served.
 */
export const CALLOUT_WAITING_MAX = 512;

/** Connections to the sidecar: Envoy opens one per worker thread and cluster, and more only beyond CALLOUT_STREAMS_MAX. */
export const CALLOUT_CONNECTIONS_MAX = 1_024;

/** How long one turn of the sidecar's event loop answers calls before it sheds the rest: half of Envoy's default callout timeout of 200 ms. */
export const CALLOUT_QUEUE_MS_MAX = 100;

/** The most that one gap between two messages adds to a turn: longer ones are pauses of the process (scheduling, garbage collection), not a queue. */
export const CALLOUT_GAP_MS = 20;

/** How often each connection to the sidecar is asked for a sign of life (PING); one that gives none until the next time is cut. Local peers answer in microseconds. */
export const CALLOUT_PING_MS = 10_000;

/** Request headers (gRPC metadata) of one call to the sidecar, as HTTP/2 counts them: trace context and configured metadata; the checked request travels in the message. */
export const CALLOUT_METADATA_BYTES_MAX = 64 * 1024;

/** Flow-control windows of the sidecar: a call's largest usual message (60 KiB of headers) comes without waiting, and a connection takes several at once. */
export const CALLOUT_WINDOW_BYTES = { stream: 128 * 1024, connection: 1024 * 1024 } as const;

/** Memory that one connection's HTTP/2 state may take (MB, Node's maxSessionMemory) before new calls are refused: CALLOUT_STREAMS_MAX calls with some KB of metadata and data each. */
export const CALLOUT_CONNECTION_MEMORY_MB = 32;

/**
 * RST_STREAM frames taken on one connection at once, and per second after that, where the Node line lets us say (22 and
 * later). Node's 1,000 and 33 guard against strangers; our peer is the local Envoy, which resets every ext_proc stream
 * unless told otherwise, at most as many as one core can open.
 */
export const CALLOUT_RESETS = { burst: 100_000, perSecond: 50_000 } as const;

/** How long Envoy waits for the sidecar where no Service says otherwise: Envoy's own default for ext_authz and ext_proc. */
export const CALLOUT_TIMEOUT_MS = 200;

/** Longest wait that a Service may ask for: Envoy has one time for all Services of a Gateway, so it delays every failed callout. */
export const CALLOUT_TIMEOUT_MS_MAX = 10_000;

/** How often Envoy logs a request that is still open, where a filter makes the unit: its exposure is known only then. */
export const ACCESS_LOG_PERIODIC_MS = 1_000;

/** Ended requests that ingest can still tell all about (`weir why`): some minutes of a busy Gateway, hours of a quiet one. */
export const RECENT_REQUESTS_MAX = 20_000;

/** Memory of their access-log entries: RECENT_REQUESTS_MAX of 1.6 KB, twice the usual size; longer ones leave earlier. */
export const RECENT_REQUESTS_BYTES_MAX = 32 * 1024 * 1024;

/** Requests of late units remembered as stored, in two generations: those open at once, with a row each until they end. */
export const OPENED_REQUESTS_MAX = 100_000;

/** Moves of live traffic that are looked through for the one behind a request's allocation: a plan is taken in seconds. */
export const MOVES_LOOKED_AT = 10;

/** Tables that the sidecar holds: the newest, and those that routes of the last few ramps may still name. */
export const CALLOUT_TABLES_KEPT = 8;

/**
 * A plan's table as JSON. No call is answered while one is read (parsed, hashed, checked), so its size is time: about
 * 10 ms per MiB of one core, 80 ms at this size. It holds some 3,000 Services of five policies with ten principals each.
 */
export const TABLE_BYTES_MAX = 8 * 1024 * 1024;

/** First and longest pause before the sidecar asks control again; control is back within seconds of its return. */
export const TABLE_FEED_RETRY_MS = { first: 50, max: 2_000 } as const;

/** A UNIX socket connects at once; a peer that has not said a word of HTTP/2 by then hangs. */
export const TABLE_FEED_CONNECT_MS = 5_000;

/** Pings on the sidecar's stream to control: a control that hangs is noticed within 15 s, well below any maxStaleness in use. */
export const TABLE_FEED_KEEPALIVE_MS = { every: 10_000, answer: 5_000 } as const;

/** Characters of the words with which a table is rejected: they travel in xDS and into a log line. */
export const TABLE_WORDS_CHARS_MAX = 500;

/** How often the sidecar's file is told that its table is still confirmed: a restart takes it for at most this much older than it is. */
export const TABLE_FILE_REFRESH_MS = 10_000;

/** How often a static table's file is looked at where the file system tells no changes (network mounts). */
export const TABLE_FILE_POLL_MS = 2_000;

/** How far in the future a file's time may lie: a clock that was set back by more makes the table's age unknown. */
export const TABLE_CLOCK_SKEW_MS = 5_000;

/** Age of a table beyond which the sidecar denies for a Service whose plan has no callout: Service.spec.callout's default. */
export const CALLOUT_STALENESS_MS = 10 * 60 * 1000;

/** Nested groups in one message to the sidecar: nobody sends one, and protobuf's own readers end at this depth. */
export const PROTO_GROUPS_DEPTH_MAX = 100;

/**
 * Callouts on one connection to the sidecar from an Envoy that is not ours: it may end each ext_proc stream with a reset,
 * and Node closes a connection at the 1,000th (dataplane reference 6: 900 gave no failures).
 */
export const CALLOUT_REQUESTS_PER_CONNECTION = 900;

/** A file with a table: TABLE_BYTES_MAX and the version, time and form beside it. */
export const TABLE_FILE_BYTES_MAX = TABLE_BYTES_MAX + 1024;

/**
 * ext_proc streams that one Envoy has open at once. Where the response is wanted (exposeArm, cookies) a stream lives as
 * long as the upstream takes to answer and does nothing meanwhile, so they are not work that waits but memory: 7.3 KiB
 * each in the sidecar (measured with 5,000), so 120 MiB in all. 16,384 are 3,200 requests a second to an upstream that
 * takes 5 s.
 */
export const CALLOUT_PROCESS_STREAMS_MAX = 16_384;

/** How long before the end of a peer's certificate the predictor asks it for a new connection: Envoys renew at half its life. */
export const PREDICTOR_PEER_RENEWAL_MS = 60_000;

/** At most one line in this time about connections that the predictor refuses; all are counted. */
export const PREDICTOR_REFUSAL_LOG_MS = 10_000;

/** Decision records waiting for the store; beyond it new ones are dropped and counted. */
export const DECISION_QUEUE_MAX = 20_000;

/** Longest wait of a decision record for its commit. */
export const DECISION_COMMIT_MS = 500;

/** Decision records kept: their time, and their number (about 200 bytes each on disk) under a flood of denials. */
export const DECISIONS_KEPT_MS = 30 * 24 * 60 * 60 * 1000;
export const DECISIONS_ROWS_MAX = 1_000_000;

/** Longest path, method or name in a decision record: enough to know it again, too little to carry a payload. */
export const DECISION_TEXT_CHARS_MAX = 512;

/** Decision records in one answer. */
export const DECISIONS_ANSWER_MAX = 1_000;

/** Kinds of requests (policy, caller, method, path) that shadow policies are counted by between two commits; the rest by policy alone. */
export const SHADOW_KEYS_MAX = 2_000;

/** Subject of an API caller: a SPIFFE id has at most 2,048 bytes, an issuer and a sub together no more than that in use. */
export const CALLER_SUBJECT_CHARS_MAX = 2_048;

/** Audit records of operators that are kept: years of a busy team, some 100 MB at 1 KB each. Older ones are dropped and counted. */
export const OPERATOR_AUDIT_RECORDS_MAX = 100_000;

/** Names of objects in one audit record; the count of all stands beside them. An apply may hold 5,000 documents. */
export const OPERATOR_AUDIT_OBJECTS_MAX = 50;

/** Paths of changed fields that are told of one resource, their depth and length: a record says what a change is about, not what it is. */
export const CHANGED_FIELDS_MAX = 8;
export const CHANGED_FIELD_DEPTH_MAX = 3;
export const CHANGED_FIELD_CHARS_MAX = 80;

/** Refused attempts of one subject that are recorded per minute: each is a disk write, and a flood would push out the acts. The rest are counted. */
export const OPERATOR_AUDIT_REFUSALS_PER_MINUTE = 60;

/** Subjects whose refusals are counted apart at a time; further ones share one count. */
export const OPERATOR_AUDIT_SUBJECTS_MAX = 1_000;

/** Answer of GET /v1/audit. */
export const OPERATOR_AUDIT_PAGE_MAX = 1_000;

/** Requests that wait for approval at once; each holds its whole content, at most API_BODY_BYTES_MAX. */
export const APPROVAL_REQUESTS_PENDING_MAX = 200;

/** Of one subject, so that nobody fills the list for all. */
export const APPROVAL_REQUESTS_PER_SUBJECT_MAX = 50;

/** How long a request that is over (done, rejected, void) can still be looked at; its acts stay in the audit log. */
export const APPROVAL_REQUEST_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** What is read of a gate's answer: its status decides, the body is only quoted. */
export const GATE_ANSWER_BYTES_MAX = 4_096;

/** Characters of a gate's own words that a decision quotes. */
export const GATE_WORDS_CHARS_MAX = 200;

/** First and longest pause before a gate that said no, or nothing, is asked again, and a rollback is told again. */
export const GATE_RETRY_MS = { first: 1_000, max: 60_000 } as const;

/** A gate's yes is used by then or asked for again: it was given to what stood then. The loop looks at least once a second. */
export const GATE_YES_MS = 30_000;

/** Rollbacks not yet told, of all Experiments; beyond it the first are given up and counted. A receiver was gone for all of them. */
export const GATE_OUTBOX_MAX = 10_000;

/**
 * A TCP connection to xds is opened anew after about this long, so that its client shows a certificate that is still good:
 * SVIDs live for an hour and are renewed at half of it. Envoys keep what they have meanwhile.
 */
export const XDS_CONNECTION_AGE_MS = 10 * 60 * 1000;

/**
 * Of a Gateway that protects a Service (security reference 6). Headers: browsers send some 30, and Envoy's default is 100.
 * headersMs: a slow head holds a connection for no longer. streams and windows: what one HTTP/2 connection may keep open
 * and unread, 100 × 64 KiB at most 1 MiB of it at once, against rapid resets and floods (CVE-2023-44487).
 */
export const GATEWAY_HARDENING = {
	headers: 100,
	headersMs: 5_000,
	streams: 100,
	streamWindowBytes: 65_536,
	connectionWindowBytes: 1_048_576,
} as const;

/**
 * A condition in CEL: characters, nodes and depth of its tree, and values that a token's claims may hold for one to
 * read them. Lists are walked at most one within none, so that the dearest condition takes some milliseconds.
 */
export const CONDITION_CHARS_MAX = 2_048;
export const CONDITION_NODES_MAX = 128;
export const CONDITION_DEPTH_MAX = 24;
export const CONDITION_LIST_MAX = 256;

/** Life of an SVID of our own CA: renewed at half of it, so an agent that is away for less than half of it is not noticed. */
export const IDENTITY_SVID_LIFETIME_MS = 3_600_000;

/** Life of a root of our own CA: the next one is believed from half of it on and signs from five sixths on. */
export const IDENTITY_ROOT_LIFETIME_MS = 7 * 24 * 3_600_000;

/** A root must outlive what it signs in the last sixth of its own life. */
export const IDENTITY_ROOT_TO_SVID_MIN = 6;

/** Below a second X.509's times, which are whole seconds, make no sense; 2 s are for tests. */
export const IDENTITY_SVID_LIFETIME_MIN_MS = 2_000;

/** Streams on one identity socket: an Envoy opens one for each secret that a listener or cluster names (SPIRE's own agent has no bound). */
export const IDENTITY_STREAMS_MAX = 1_024;

/** A request on an identity socket: a few names and an error's text. */
export const IDENTITY_REQUEST_BYTES_MAX = 64 * 1024;

/** Secrets that one SDS request may name: an agent has two. */
export const IDENTITY_NAMES_MAX = 16;

/** An agent's answer: SVIDs and bundles of all federated domains; SPIRE's own clients take 4 MiB. */
export const IDENTITY_ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Certificates in one chain or bundle of an agent. */
export const IDENTITY_CERTIFICATES_MAX = 256;

/** Pauses between tries of an agent that is away, the last one for ever: short, for a restarted agent answers at once. */
export const IDENTITY_RETRY_MS = [50, 100, 250, 500, 1_000] as const;

/** How long a process waits at its start for its first SVID. */
export const IDENTITY_FIRST_WAIT_MS = 10_000;

/** x-forwarded-client-cert: Envoy's holds a certificate of some KiB, URL-encoded; headers end at 60 KiB anyway. */
export const FORWARDED_CERT_CHARS_MAX = 64 * 1024;

/** Hops in x-forwarded-client-cert: each is one proxy that was passed. */
export const FORWARDED_CERT_ELEMENTS_MAX = 16;

/** An end user's token, as it is shown (RFC 7519 names no bound): identity providers' real ones are below 4 KiB. */
export const TOKEN_BYTES_MAX = 8 * 1024;

/** Nesting of a token's JSON, the top object counted: as Envoy's jwt_authn (measured on 1.40.0). */
export const TOKEN_DEPTH_MAX = 100;

/** How far an issuer's clock may be from ours, in seconds: Envoy's own default for exp and nbf. */
export const TOKEN_SKEW_SECONDS = 60;

/** Verified tokens that are remembered, and the bytes of all of them together: one per user of a busy Gateway. */
export const TOKENS_CACHED_MAX = 20_000;
export const TOKENS_CACHED_BYTES_MAX = 32 * 1024 * 1024;

/** Tokens and proofs that are being verified at once: beyond, the next one would wait longer than Envoy does. */
export const TOKENS_PENDING_MAX = 512;

/** Signatures that one payer may have verified: at once, and per second after that. 0.3 ms of one core each. */
export const TOKEN_PAYER = { burst: 200, perSecond: 100 } as const;

/** Payers that are remembered; who has not been seen for longest is forgotten, and begins anew. */
export const TOKEN_PAYERS_MAX = 10_000;

/** A JWKS from an address: how long it is fresh (jose's and Envoy's usual ten minutes), and how long it serves while none can be had. */
export const KEYS_URL_MS = { fresh: 10 * 60_000, stale: 60 * 60_000, cooldown: 30_000 } as const;

/** A JWKS in a file is looked at far more often: it costs nothing. */
export const KEYS_FILE_MS = { fresh: 5_000, stale: 60 * 60_000, cooldown: 1_000 } as const;

/** First pause after a failed fetch; doubled up to the cooldown. */
export const KEYS_RETRY_MS = 1_000;

/** One fetch of a JWKS, name resolution included. */
export const KEYS_FETCH_MS = 5_000;

/** One read of a file that a resource names: a disk answers in milliseconds, a mount whose server is gone never. */
export const FILE_READ_MS = 5_000;

/** Files whose readers have not come back: each holds one of Node's four threads, and two are left for all else. */
export const FILES_STUCK_MAX = 2;

/** A JWKS: a hundred keys of 4,096 bits take 80 KiB. A file of CA certificates has the same bound. */
export const KEYS_BYTES_MAX = 256 * 1024;
export const KEYS_MAX = 100;

/** Keys that a token is tried against: those without a kid fit any. */
export const KEYS_TRIED_MAX = 4;

/** Age of a DPoP proof, and how far in the future it may be, in seconds (RFC 9449 11.1: brief). */
export const DPOP_AGE_SECONDS = 60;

/** DPoP proofs and signed decisions that are remembered against replay; when full, new ones are refused. */
export const REPLAYS_MAX = 200_000;

/** How long a signed decision holds: one hop inside a mesh. */
export const DECISION_LIFETIME_MS = 5_000;

/** A signed decision as a header: a chain of three certificates is 3 KiB. */
export const DECISION_BYTES_MAX = 16 * 1024;

/** Certificates from a signer's own to the trust bundle. */
export const DECISION_CHAIN_MAX = 3;

/** Chains of signers that were verified and are remembered: one per sidecar and rotation. */
export const DECISION_SIGNERS_MAX = 256;

/** Calls that wait for a token's verdict: beyond, they are shed as calls that wait for the loop are. */
export const CALLOUT_TOKENS_WAITING_MAX = 1_024;

/** Buckets of principals or tenants that one limit of an Envoy remembers; about 200 bytes each. */
export const RATE_LIMIT_BUCKETS_MAX = 10_000;

/** Requests that `weir policy diff` constructs for one Service: seconds; beyond it they are drawn from the whole product. */
export const POLICY_DIFF_REQUESTS_MAX = 50_000;

/** Differences that `weir policy diff` keeps to show; all are counted. */
export const POLICY_DIFF_KEPT_MAX = 1_000;

/** Cases of one `weir policy test`: a person reads the failures. */
export const POLICY_TESTS_MAX = 10_000;

/** One built-in probe, or one look at Envoy's counters: both are local. */
export const PROBE_TIMEOUT_MS = 5_000;

/** Answer to one of them: the counters of some ten thousand Services. */
export const PROBE_ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Pause between two rounds of probes: a bypass is told within half a minute, at the price of two requests per Service. */
export const PROBE_INTERVAL_MS = 30_000;

/** Changes of access rules that can be rolled back: some weeks of a busy team. */
export const POLICY_HISTORY_MAX = 200;

/** What they replaced, together: beyond it the oldest go first, and the newest always stays. Read whole by a rollback. */
export const POLICY_HISTORY_BYTES_MAX = 16 * 1024 * 1024;

/** Callers whose ids a sidecar need not judge again: 1,000 of at most 8 KiB, what a gRPC message may hold of one. */
export const CALLERS_KNOWN_MAX = 1_000;

/**
 * How often xds looks at key sets of token issuers: an old key in a file stays good so long at most, and a look costs
 * some 0.1 ms. An unknown key that an access log tells of is heard of as soon.
 */
export const KEYS_LOOK_MS = 2_000;

/** How long a publication waits for an issuer's file, and the first for its address: most answer at once, and no revocation waits for a slow one. */
export const KEYS_WAIT_MS = 1_000;

/** Gateways that tokens with unknown keys are counted for; control has tens. */
export const UNKNOWN_KEY_GATEWAYS_MAX = 1_000;

/** Refused xDS streams are audited once in this time for each id: clients try again every few seconds. */
export const XDS_REFUSALS_AUDITED_MS = 60_000;
/** Ids whose refusals are told apart; the others share one place. */
export const XDS_REFUSED_IDS_MAX = 1_000;

/** Milliseconds that the sidecar waits for the verdict on a token that only shadow policies look at: a quarter of CALLOUT_TIMEOUT_MS. */
export const SHADOW_TOKEN_WAIT_MS = 50;

/** Experiments whose last look is kept in ingest's memory, some ten kilobytes each; others are looked at wholly again. */
export const LOOKS_KEPT_MAX = 2_000;

/** Segments of an Experiment: each takes a part of alpha, and a column of every exposure. */
export const SEGMENTS_MAX = 5;

/** Values of a segment that count by themselves, in order of appearance; the rest together are `other`. */
export const SEGMENT_VALUES_MAX = 20;

/** Planned looks of a group-sequential design: more are hardly better than looking always. */
export const LOOKS_MAX = 50;

/** Periods of first exposure that evidence is told apart by: a day each at first, merged in pairs beyond this many. */
export const PERIODS_MAX = 60;

/** Other Experiments that a promotion is checked against: each is a join over all units, and takes a part of the level. */
export const INTERACTIONS_MAX = 10;
/** Bytes of a segment's value: a country, a plan, a model's name. What is longer is no group of units but a text. */
export const SEGMENT_VALUE_BYTES_MAX = 64;

/** How long publication may stand still behind the state before that is told: a plan is usually out in a tenth of it. */
export const PUBLICATION_LAG_MS = 5_000;

/** How often xds tells what it published, and the state's owner looks whether that is behind. */
export const PUBLICATION_LOOK_MS = 1_000;

/** Shortest time of a rate limit: Envoy fills a bucket no more often, and refuses whatever holds a shorter one. */
export const RATE_MS_MIN = 50;

/** Longest path template: far above any API's paths, and a bound for RE2_PROGRAM_MAX. */
export const PATH_TEMPLATE_CHARS_MAX = 1_024;

/**
 * Instructions of one regular expression that our Envoys take; their default of 100 refuses a path template of 110
 * letters. The longest template has 512 variables of 10 instructions each (1.36.2; 1.40.0: 4).
 */
export const RE2_PROGRAM_MAX = 8_192;
