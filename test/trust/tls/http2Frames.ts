/** Hand-written HTTP/2 frames (RFC 9113 4.1) that no library sends. Header blocks are literals without Huffman (RFC 7541 6.2.2). */

export const FRAME = {
	DATA: 0,
	HEADERS: 1,
	RST_STREAM: 3,
	SETTINGS: 4,
	PING: 6,
	GOAWAY: 7,
	WINDOW_UPDATE: 8,
	CONTINUATION: 9,
} as const;
export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4 } as const;
export const PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface Frame {
	readonly type: number;
	readonly flags: number;
	readonly stream: number;
	readonly payload: Buffer;
}

export function bytesOf(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array()): Buffer {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head[3] = type;
	head[4] = flags;
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

/** Fields with any bytes, and repeated names. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
	const text = (value: string): Buffer => {
		const bytes = Buffer.from(value, "latin1");
		if (bytes.length >= 127) throw new Error("longer than this encoder takes");
		return Buffer.concat([Buffer.from([bytes.length]), bytes]);
	};
	return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

export function reset(stream: number, code = 8): Buffer {
	const payload = Buffer.alloc(4);
	payload.writeUInt32BE(code);
	return bytesOf(FRAME.RST_STREAM, 0, stream, payload);
}
