/**
 * Structured log: one JSON object a line, to stderr. Fields are explicit scalars, so no request, header or payload is
 * logged by accident.
 */

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];
export type Fields = Readonly<Record<string, string | number | boolean>>;

export interface Log {
	debug(message: string, fields?: Fields): void;
	info(message: string, fields?: Fields): void;
	warn(message: string, fields?: Fields): void;
	error(message: string, fields?: Fields): void;
}

export interface LogOptions {
	readonly role: string;
	/** WEIR_LOG: debug, info, warn, error or off; info for anything else. Default: the process's environment. */
	readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
	/** Takes one line without its newline. Default: stderr. */
	readonly write?: ((line: string) => void) | undefined;
	readonly now?: (() => Date) | undefined;
}

export function createLog({ role, environment = process.env, write, now }: LogOptions): Log {
	const out = write ?? ((line: string): void => void process.stderr.write(`${line}\n`));
	const clock = now ?? ((): Date => new Date());
	const wanted = (environment.WEIR_LOG ?? "").toLowerCase();
	const lowest =
		wanted === "off" ? LEVELS.length : Math.max(LEVELS.indexOf(wanted as Level), wanted === "debug" ? 0 : 1);
	const at =
		(level: Level) =>
		(message: string, fields: Fields = {}): void => {
			if (LEVELS.indexOf(level) < lowest) return;
			// Fields are nested, so that none can replace role, level or message.
			const more = Object.keys(fields).length === 0 ? {} : { fields };
			out(JSON.stringify({ time: clock().toISOString(), level, role, message, ...more }));
		};
	return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
