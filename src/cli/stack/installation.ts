/** A unique id for this installation, on the same machine too; it is made once and kept beside the state. */
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The same id for as long as the data directory is kept. */
export function installationId(dataDirectory: string): string {
	const path = join(dataDirectory, "installation");
	if (!existsSync(path)) {
		const whole = `${path}.${process.pid}`;
		writeFileSync(whole, `${randomUUID()}\n`, { mode: 0o600 });
		renameSync(whole, path);
	}
	return readFileSync(path, "utf8").trim();
}
