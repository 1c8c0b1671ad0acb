/**
 * The direction of dependencies (DESIGN.md), one rule per direction, each with its reason and its cure.
 * The first level of src is the loop: declare → compile → publish → serve → observe → infer → decide → operate. Pure stages
 * know no I/O; adapters know pure stages and the shared parts of trust, never each other; cli composes.
 */
const PURE = "^src/(declare|compile|infer|decide)/";
/** Rooms that touch the world. */
const ADAPTERS = [
	"publish/xds",
	"publish/sidecar",
	"serve/predictor",
	"serve/registry",
	"observe/events",
	"observe/telemetry",
	"observe/agent",
	"operate/(?:callers|changes|api|state|approvals|audit|operations)",
	"operate/webhooks",
	"trust/identity",
	"trust/tokens",
];

/** Rooms of a stage in their order: each imports only what stands left of it. */
const ORDERS = {
	compile: ["plan", "assignment", "access", "envoy", "table", "mesh"],
	"observe/events": ["store", "receive", "evidence", "query"],
	operate: ["callers", "changes", "audit", "state", "approvals", "operations", "api"],
};

/** Each npm package has one owner: an upgrade or a swap touches one place. */
const OWNERS = {
	"yaml": ["declare/resources", "operate/state"],
	"zod": ["declare/resources", "operate/api"],
	"fastify": ["operate/api"],
	"xxhash-wasm": ["compile/assignment"],
	"@marcbachmann/cel-js": ["compile/access"],
	"lmdb": ["operate/state"],
	"lru-cache": ["observe/events"],
	"@duckdb": ["observe/events"],
	"onnxruntime-node": ["serve/predictor"],
	"prom-client": ["observe/telemetry"],
	"@opentelemetry/(sdk|exporter|resources)": ["observe/telemetry"],
	"@peculiar/x509": ["trust/identity"],
	"reflect-metadata": ["trust/identity"],
	"commander": ["cli"],
	"jose": ["trust/tokens"],
	"jstat": ["infer/statistics"],
	"d3-(scale|shape)": ["decide/report"],
	"rate-limiter-flexible": ["trust/clients"],
	"@grpc/grpc-js": ["publish/xds", "publish/sidecar", "observe/events", "observe/telemetry", "trust/identity"],
	"@bufbuild/protobuf": ["gen", "publish/xds", "publish/sidecar", "observe/events", "observe/telemetry", "trust/identity"],
};

module.exports = {
	forbidden: [
		{
			name: "vocabulary-stands-alone",
			comment: "error, limits, resource.ts, metadata.ts, accessTypes.ts and experimentTypes.ts are what everything imports; if they import back, every change is a change everywhere. Move the code to the room that needs it.",
			severity: "error",
			from: { path: "^src/(error|limits/\\w+|declare/resources/(resource|metadata|accessTypes|experimentTypes))\\.ts$" },
			to: { path: "^src/", pathNot: "^src/(error|limits/\\w+|declare/resources/(resource|metadata|accessTypes|experimentTypes))\\.ts$" },
		},
		{
			name: "declarations-are-read-upwards",
			comment: "Text becomes values, values fields, fields kinds; only complete resources are checked. Take what a later step knows as an argument.",
			severity: "error",
			from: { path: "^src/declare/resources/(yaml|fields|schemas|checks)/" },
			to: { path: "^src/declare/resources/(yaml|fields|schemas|checks|parse|fileReading|faults)", pathNot: ["^src/declare/resources/$1/", "^src/declare/resources/fields/"] },
		},
		{
			name: "fields-know-no-kind",
			comment: "A field is the same in every kind. Take what differs as an argument.",
			severity: "error",
			from: { path: "^src/declare/resources/(yaml|fields)/" },
			to: { path: "^src/declare/resources/(yaml|fields|schemas|checks)/", pathNot: "^src/declare/resources/$1/" },
		},
		{
			name: "pure-stays-pure",
			comment: "A pure stage imports only pure stages and vocabulary, so that the same input gives the same answer and can be tested by tables and replayed. Take what you need as an argument or a port.",
			severity: "error",
			from: { path: PURE },
			to: { path: "^src/", pathNot: [PURE, "^src/(error|limits/\\w+)\\.ts$"] },
		},
		{
			name: "pure-does-no-io",
			comment: "No file, socket, process or clock in a pure stage. Do it in an adapter and pass the value in.",
			severity: "error",
			from: { path: PURE },
			to: { dependencyTypes: ["core"] },
		},
		{
			name: "declare-comes-first",
			comment: "A declaration is checked by the pure functions that execute it (access rules, regions), and by no later stage.",
			severity: "error",
			from: { path: "^src/declare/" },
			to: { path: "^src/(compile/(envoy|mesh|table)|infer|decide)/" },
		},
		{
			name: "compile-knows-no-inference",
			comment: "A Plan is made of resources and their status. Of the later stages only that status is known here.",
			severity: "error",
			from: { path: "^src/compile/" },
			to: { path: "^src/(infer|decide)/", pathNot: "^src/decide/rollout/status\\.ts$" },
		},
		{
			name: "infer-knows-numbers",
			comment: "Statistics know declarations and aggregates: neither Envoy nor decisions.",
			severity: "error",
			from: { path: "^src/infer/" },
			to: { path: "^src/(compile|decide)/" },
		},
		...ADAPTERS.map((adapter) => ({
			name: `${adapter.replace(/[^a-z]+/g, "-")}-does-not-know-other-adapters`,
			comment: "Adapters can be changed, tested and run apart; they meet in cli only. Receive a port from composition.",
			severity: "error",
			from: { path: `^src/${adapter}/` },
			to: { path: `^src/(?:${ADAPTERS.filter((other) => other !== adapter).join("|")}|cli)/` },
		})),
		...Object.entries(ORDERS).flatMap(([stage, rooms]) =>
			rooms.slice(0, -1).map((room, at) => ({
				name: `${stage}-in-order-${room}`.replace("/", "-"),
				comment: `${stage} is read in one direction: ${rooms.join(" → ")}. Take what a later room knows as an argument or a port, or move it to the left.`,
				severity: "error",
				from: { path: `^src/${stage}/${room}/` },
				to: { path: `^src/${stage}/(?:${rooms.slice(at + 1).join("|")})/` },
			})),
		),
		{
			name: "changes-are-pure",
			comment: "What a change of the resources would do is computed from arguments, so that a dry run is the same computation. It knows no store.",
			severity: "error",
			from: { path: "^src/operate/changes/" },
			to: { path: "^src/", pathNot: [PURE, "^src/(operate/changes/|(error|limits/\\w+)\\.ts$)"] },
		},
		{
			name: "trust-is-below-all-servers",
			comment: "What every server needs (TLS, local sockets, limits on clients) knows no server.",
			severity: "error",
			from: { path: "^src/trust/(tls|local|clients)/" },
			to: { path: "^src/", pathNot: ["^src/trust/(tls|local|clients)/", "^src/(error|limits/\\w+)\\.ts$", "^src/declare/resources/spiffe\\.ts$"] },
		},
		{
			name: "nothing-imports-composition",
			comment: "Process settings must not leak into rooms: nothing imports cli.",
			severity: "error",
			from: { path: "^src/(?!cli/)" },
			to: { path: "^src/cli/" },
		},
		{
			name: "wire-stays-at-the-wire",
			comment: "Generated protobuf types are imported only by the adapters that speak the protocol; an Envoy API change stops there.",
			severity: "error",
			from: { path: "^src/", pathNot: "^src/(gen|publish/xds|publish/sidecar|observe/events|observe/telemetry|trust/identity)/" },
			to: { path: "^src/gen/" },
		},
		...Object.entries(OWNERS).map(([name, owners]) => ({
			name: `one-owner-${name.replace(/[^a-z0-9]+/gi, "-")}`,
			comment: `${name} is used by src/${owners.join(", src/")} only; ask that room for what you need.`,
			severity: "error",
			from: { path: "^src/", pathNot: `^src/(${owners.join("|")})/` },
			to: { path: `node_modules/${name}` },
		})),
		{
			name: "one-file-imports-jstat",
			comment: "jStat is silently wrong outside a measured domain; distributions/jstat.ts guards it. Our own distributions hold everywhere.",
			severity: "error",
			from: { path: "^src/", pathNot: "^src/infer/statistics/distributions/jstat\\.ts$" },
			to: { path: "node_modules/jstat" },
		},
		{
			name: "source-does-not-import-tests",
			comment: "Users do not get the tests; the import would break for them.",
			severity: "error",
			from: { path: "^src/" },
			to: { path: "^test/" },
		},
		{ name: "no-circular", comment: "Files that import each other, if only types, can be read and changed only together. Move the type to a lower file.", severity: "error", from: {}, to: { circular: true } },
		{
			name: "no-orphans",
			comment: "A file that nothing reaches is still read. Delete it or use it.",
			severity: "error",
			from: { orphan: true, path: "^src/", pathNot: "^src/(gen/|cli/)" },
			to: {},
		},
		{
			name: "not-to-dev-dependency",
			comment: "It works here and fails once installed. Move the package to dependencies.",
			severity: "error",
			from: { path: "^src/" },
			to: { dependencyTypes: ["npm-dev", "npm-no-pkg"] },
		},
	],
	options: {
		tsPreCompilationDeps: true,
		tsConfig: { fileName: "tsconfig.json" },
		doNotFollow: { path: "node_modules" },
		enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
	},
};
