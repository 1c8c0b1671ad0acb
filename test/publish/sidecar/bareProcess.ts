/** Where memory is measured, the runner's own hooks (loaders, coverage) must not run in the child: they take 200 MiB. */
import type { ForkOptions } from "node:child_process";

const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...environment } = process.env;

export const BARE: ForkOptions = { env: environment, execArgv: [] };
