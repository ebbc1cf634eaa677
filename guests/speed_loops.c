/* See speed_loops.h.  No library, no system call, no privileged instruction. */
#include "speed_loops.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Register arithmetic only; 12 instructions a turn. */
static uint64_t run_alu(uint64_t count)
{
	uint64_t a = 1, b = 0x12345, c = 0x777;

	__asm__("1:	add %1, %0\n"
		"	xor %0, %2\n"
		"	rol $7, %2\n"
		"	lea 13(%2,%0,4), %%r8\n"
		"	sub %%r8, %1\n"
		"	and $0xffff, %%r8d\n"
		"	or %%r8, %0\n"
		"	shr $3, %1\n"
		"	imul $77, %%r8d, %%r9d\n"
		"	adc %%r9, %0\n"
		"	dec %3\n"
		"	jnz 1b\n"
		: "+r"(a), "+r"(b), "+r"(c), "+r"(count)
		:
		: "r8", "r9", "cc");
	return a + b + c;
}

/* Loads and stores of every width over 32 KiB; 11 instructions a turn, 6 of them accesses. */
static uint64_t buffer[4097];

static uint64_t run_memory(uint64_t count)
{
	uint64_t sum = 12345, index = 0;

	__asm__("1:	mov (%2,%1,8), %%rdx\n"
		"	add %%rdx, %0\n"
		"	add %0, 8(%2,%1,8)\n"
		"	mov (%2,%1,4), %%r8d\n"
		"	mov %%r8d, 4096(%2,%1,4)\n"
		"	movzbl 77(%2,%1), %%r9d\n"
		"	mov %%r9b, (%2,%1)\n"
		"	add $9, %k1\n"
		"	and $0xfff, %k1\n"
		"	dec %3\n"
		"	jnz 1b\n"
		: "+r"(sum), "+r"(index)
		: "r"(buffer), "r"(count)
		: "rdx", "r8", "r9", "cc", "memory");
	return sum;
}

/* Calls and returns. */
static __attribute__((noinline)) uint64_t fibonacci(uint64_t n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint64_t run_call(uint64_t count)
{
	uint64_t sum = 0;

	while (count--)
		sum += fibonacci(20);
	return sum;
}

static uint64_t run_muldiv(uint64_t count)
{
	uint64_t a = 0x123456789abcdef1ull, sum = 0;

	while (count--) {
		uint64_t divisor = (sum & 0xffff) | 1;

		a = a * 6364136223846793005ull + 1442695040888963407ull;
		sum += a / divisor + (uint64_t)(((unsigned __int128)a * sum) >> 64);
		__asm__("" : "+r"(sum));
	}
	return sum;
}

static uint64_t run_crc32(uint64_t count)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (unsigned bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	for (uint64_t i = 0; i < count; i++)
		crc = table[(crc ^ ((const uint8_t *)buffer)[i & 0x7fff]) & 0xff] ^ crc >> 8;
	return crc;
}

/* SHA-256's block function (FIPS 180-4 6.2.2) with made-up round constants. */
static uint32_t rotate(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void sha_block(uint32_t state[8], const uint32_t block[16])
{
	uint32_t w[64], s[8];

	for (unsigned i = 0; i < 64; i++) {
		if (i < 16) {
			w[i] = block[i];
			continue;
		}
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	}
	for (unsigned i = 0; i < 8; i++)
		s[i] = state[i];
	for (unsigned i = 0; i < 64; i++) {
		uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
			      ((s[4] & s[5]) ^ (~s[4] & s[6])) + w[i] + i * 0x9e3779b9u;
		uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
			      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		for (unsigned k = 7; k > 0; k--)
			s[k] = s[k - 1];
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		state[i] += s[i];
}

static uint64_t run_sha256(uint64_t count)
{
	uint32_t state[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	for (uint64_t i = 0; i < count; i++)
		sha_block(state, (const uint32_t *)buffer + (i & 63) * 16);
	return (uint64_t)state[0] << 32 | state[7];
}

/* What programs do all day: a list, a sort, a matrix, a state machine. */

struct node {
	struct node *next;
	uint32_t key, value;
};

static struct node nodes[256];

static uint32_t walk_list(uint32_t seed)
{
	struct node *head = 0;
	uint32_t start = seed, sum = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
		struct node *n = &nodes[(i * 97 + start) & 255];

		n->key = seed = seed * 1664525u + 1013904223u;
		n->next = head;
		head = n;
	}
	for (struct node *n = head; n; n = n->next)
		sum += n->key >> 7 ^ sum << 3;
	return sum;
}

static uint32_t sort(uint32_t seed)
{
	static uint32_t a[128];

	for (unsigned i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = seed = seed * 1664525u + 1013904223u;
	for (unsigned gap = 57; gap; gap = gap > 1 ? gap * 10 / 22 : 0) {
		for (unsigned i = gap; i < ARRAY_SIZE(a); i++) {
			uint32_t v = a[i];
			unsigned k = i;

			for (; k >= gap && a[k - gap] > v; k -= gap)
				a[k] = a[k - gap];
			a[k] = v;
		}
	}
	return a[5] ^ a[100];
}

static uint32_t multiply_matrices(uint32_t seed)
{
	static int32_t a[16][16], b[16][16];
	uint32_t sum = 0;

	for (unsigned i = 0; i < 256; i++) {
		(&a[0][0])[i] = (int32_t)(seed += i);
		(&b[0][0])[i] = (int32_t)(seed ^ i * 7);
	}
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned k = 0; k < 16; k++) {
			int32_t dot = 0;

			for (unsigned j = 0; j < 16; j++)
				dot += a[i][j] * b[j][k];
			sum ^= (uint32_t)dot;
		}
	}
	return sum;
}

static uint32_t run_states(uint32_t seed)
{
	static const char text[] = "+12.5e-3,0x7f,abc;-17,.5,12e9x;";
	uint32_t counts[6] = {0};
	unsigned state = 0;

	for (unsigned i = 0; i < 512; i++) {
		char c = text[(i + seed) % (sizeof(text) - 1)];

		switch (state) {
		case 0:
			state = c == '+' || c == '-' ? 1 : c >= '0' && c <= '9' ? 2 : 5;
			break;
		case 1:
		case 2:
			state = c >= '0' && c <= '9' ? 2 : c == '.' ? 3 : c == 'e' ? 4 : 0;
			break;
		case 3:
			state = c >= '0' && c <= '9' ? 3 : 0;
			break;
		case 4:
			state = c == ',' ? 0 : 4;
			break;
		default:
			state = c == ',' || c == ';' ? 0 : 5;
			break;
		}
		counts[state]++;
	}
	return counts[0] * 31 + counts[2] * 7 + counts[5];
}

static uint64_t run_mixed(uint64_t count)
{
	uint32_t seed = 1;

	for (uint64_t i = 0; i < count; i++) {
		seed ^= walk_list(seed);
		seed += sort(seed);
		seed ^= multiply_matrices(seed);
		seed += run_states(seed);
	}
	return seed;
}

/* Floating point. */

static uint64_t run_sse(uint64_t count)
{
	double x = 1.5, y = 0.25, z = 3.0;

	while (count--) {
		x = x * 0.999 + y;
		y = y + z / (x + 2.0);
		z = z * 0.5 + (x - y) * 0.125;
		__asm__("" : "+x"(x), "+x"(y), "+x"(z));
	}
	return (uint64_t)(int64_t)(x * 1e6) + (uint64_t)(int64_t)(y * 1e3);
}

static uint64_t run_x87(uint64_t count)
{
	long double x = 1.5L, y = 0.25L, z = 3.0L;

	while (count--) {
		x = x * 0.999L + y;
		y = y * 0.5L + z / (x + 2.0L);
		z = z * 0.5L + (x - y) * 0.125L;
		__asm__("" : "+t"(x));
	}
	return (uint64_t)(int64_t)(x * 1e6L) + (uint64_t)(int64_t)(y * 1e3L);
}

const struct speed_loop speed_loops[] = {
	{"alu", run_alu, 8000000},	{"memory", run_memory, 9000000},
	{"call", run_call, 700},	{"muldiv", run_muldiv, 9000000},
	{"crc32", run_crc32, 12000000}, {"sha256", run_sha256, 25000},
	{"mixed", run_mixed, 1500},	{"sse", run_sse, 8000000},
	{"x87", run_x87, 4000000},
};
const unsigned speed_loop_count = ARRAY_SIZE(speed_loops);
