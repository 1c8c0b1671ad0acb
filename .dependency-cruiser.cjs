/**
 * The direction of dependencies (DESIGN.md), one rule per direction, each with its reason and its cure.
 * Vocabulary and pure rooms know nothing outside; adapters know pure rooms, never each other; cli composes.
 */
const PURE = "^src/(resources|assignment|access|compiler|analysis|rollout|report)/";
const ADAPTERS = ["xds", "events", "state", "predictor", "telemetry", "identity", "sidecar", "tokens", "probe", "webhooks"];

/** Each npm package has one owner: an upgrade or a swap touches one place. */
const OWNERS = {
	"yaml": ["resources", "state"],
	"zod": ["resources"],
	"xxhash-wasm": ["assignment"],
	"@marcbachmann/cel-js": ["access"],
	"lmdb": ["state"],
	"lru-cache": ["events"],
	"@duckdb": ["events"],
	"onnxruntime-node": ["predictor"],
	"prom-client": ["telemetry"],
	"@opentelemetry/(sdk|exporter|resources)": ["telemetry"],
	"@peculiar/x509": ["identity"],
	"reflect-metadata": ["identity"],
	"commander": ["cli"],
	"jose": ["tokens"],
	"jstat": ["analysis"],
	"d3-(scale|shape)": ["report"],
	"@grpc/grpc-js": ["xds", "events", "telemetry", "sidecar", "identity"],
	"@bufbuild/protobuf": ["gen", "xds", "events", "telemetry", "sidecar", "identity"],
};

module.exports = {
	forbidden: [
		{
			name: "vocabulary-stands-alone",
			comment: "error, limits, resource.ts, metadata.ts, accessWords.ts and experimentWords.ts are the words everything leans on; if they lean back, every change is a change everywhere. Move the code to the room that needs it.",
			severity: "error",
			from: { path: "^src/(error|limits|limits/\\w+|resources/(resource|metadata|accessWords|experimentWords))\\.ts$" },
			to: { path: "^src/", pathNot: "^src/(limits/\\w+|resources/(resource|metadata|accessWords|experimentWords))\\.ts$" },
		},
		{
			name: "declarations-are-read-upwards",
			comment: "Text becomes values, values fields, fields kinds; only complete resources are checked. A step that looks ahead would know whose part it is: take it as an argument.",
			severity: "error",
			from: { path: "^src/resources/(yaml|fields|schemas|checks)/" },
			to: { path: "^src/resources/(yaml|fields|schemas|checks|parse|fileReading|faults)", pathNot: ["^src/resources/$1/", "^src/resources/fields/"] },
		},
		{
			name: "fields-know-no-kind",
			comment: "A field is the same in every kind. Take what differs as an argument.",
			severity: "error",
			from: { path: "^src/resources/(yaml|fields)/" },
			to: { path: "^src/resources/(yaml|fields|schemas|checks)/", pathNot: "^src/resources/$1/" },
		},
		{
			name: "pure-stays-pure",
			comment: "A pure room imports only pure rooms and vocabulary, so that the same input gives the same answer and can be tested by tables and replayed. Take what you need as an argument or a port.",
			severity: "error",
			from: { path: PURE },
			to: { path: "^src/", pathNot: [PURE, "^src/(error|limits)\\.ts$"] },
		},
		{
			name: "pure-does-no-io",
			comment: "No file, socket, process or clock in a pure room. Do it in an adapter and pass the value in.",
			severity: "error",
			from: { path: PURE },
			to: { dependencyTypes: ["core"] },
		},
		...ADAPTERS.map((adapter) => ({
			name: `${adapter}-does-not-know-other-adapters`,
			comment: "Adapters can be changed, tested and run apart; they meet in cli only. Receive a port from composition.",
			severity: "error",
			from: { path: `^src/${adapter}/` },
			to: { path: `^src/(${ADAPTERS.filter((other) => other !== adapter).join("|")}|cli)/` },
		})),
		{
			name: "nobody-imports-composition",
			comment: "Process settings must not leak into rooms: nothing imports cli.",
			severity: "error",
			from: { path: "^src/(?!cli/)" },
			to: { path: "^src/cli/" },
		},
		{
			name: "wire-stays-at-the-wire",
			comment: "Generated protobuf types are imported only by the adapters that speak the protocol; an Envoy API change stops there.",
			severity: "error",
			from: { path: "^src/", pathNot: "^src/(gen|xds|events|telemetry|sidecar|identity)/" },
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
			name: "one-owner-rate-limiter-flexible",
			comment: "Every server limits its clients by the same limiter. Use ClientLimiter.",
			severity: "error",
			from: { path: "^src/", pathNot: "^src/clientLimiter\\.ts$" },
			to: { path: "node_modules/rate-limiter-flexible" },
		},
		{
			name: "one-door-to-jstat",
			comment: "jStat is silently wrong outside a measured domain; distributions/jstat.ts guards it. Our own distributions hold everywhere.",
			severity: "error",
			from: { path: "^src/", pathNot: "^src/analysis/distributions/jstat\\.ts$" },
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
