/** `npm run bench -- NAME`: runs one benchmark; its last line is `RESULT ` and one line of JSON. */
const BENCHMARKS = [
	"aggregate",
	"assign",
	"callout",
	"callout-secure",
	"claim-units",
	"explain-cost",
	"harm",
	"ingest",
	"loop",
	"native",
	"native-secure",
	"publish",
	"rule-cost",
	"stats",
	"verdict",
] as const;

const name = process.argv[2] ?? "";
if (!BENCHMARKS.some((one) => one === name)) {
	process.stderr.write(`usage: npm run bench -- NAME, one of ${BENCHMARKS.join(", ")}\n`);
	process.exit(64);
}
/** `explain-cost` lives in explainCost.ts. */
const file = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
await import(`./${file}.js`);
