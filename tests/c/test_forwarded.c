/* ext/proto/trusted.c and forwarded.c: who is trusted, and what is taken from what a proxy says. */

#include "harness.h"

#include "proto/error.h"
#include "proto/fields.h"
#include "proto/forwarded.h"

/* ---- who is trusted ----------------------------------------------------------- */

/* `peers` are separated by blanks. */
static void trust(fs_trusted *trusted, const char *peers)
{
    fs_trusted_init(trusted, &harness_allocator);
    while (*peers) {
        const size_t n = strcspn(peers, " ");

        harness_note("%.*s", (int)n, peers);
        CHECK_INT(fs_trusted_add(trusted, peers, n), FS_OK);
        peers += n + (peers[n] == ' ');
    }
    fs_trusted_sort(trusted);
}

static int has(const fs_trusted *trusted, const char *address)
{
    fs_ip ip;

    harness_note("%s", address);
    CHECK(fs_ip_read(address, strlen(address), &ip));
    return fs_trusted_has(trusted, &ip);
}

static void check_trust(const char *peers, const char *address, int expected)
{
    fs_trusted trusted;

    trust(&trusted, peers);
    CHECK_INT(has(&trusted, address), expected);
    fs_trusted_free(&trusted);
}

static void addresses_and_networks(void)
{
    check_trust("127.0.0.1", "127.0.0.1", 1);
    check_trust("127.0.0.1", "127.0.0.2", 0);
    check_trust("127.0.0.1", "::1", 0);
    check_trust("10.0.0.0/8", "10.0.0.0", 1);
    check_trust("10.0.0.0/8", "10.255.255.255", 1);
    check_trust("10.0.0.0/8", "9.255.255.255", 0);
    check_trust("10.0.0.0/8", "11.0.0.0", 0);
    check_trust("2001:db8::/32", "2001:db8:1::2", 1);
    check_trust("2001:db8::/32", "2001:db9::", 0);
    check_trust("2001:db8::/32", "2001:db7:ffff::", 0);
    check_trust("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", 1);
    check_trust("2001:db8::/64", "2001:db8:0:1::", 0);
    check_trust("2001:db8::/65", "2001:db8::8000:0:0:0", 0);
    check_trust("2001:db8::/127", "2001:db8::1", 1);
    check_trust("2001:db8::/127", "2001:db8::2", 0);
    check_trust("fe80::1%eth0", "fe80::1", 1);
    check_trust("fe80::%eth0/64", "fe80::2", 1);
    check_trust("", "127.0.0.1", 0);
    check_trust("unix", "127.0.0.1", 0);
    check_trust("*", "203.0.113.9", 1);
    check_trust("*", "2001:db8::1", 1);
}

/* An IPv4 address is none of an IPv6 network, however it is written; and a network of such addresses is one of IPv4. */
static void both_versions_are_apart(void)
{
    check_trust("0.0.0.0/0", "203.0.113.9", 1);
    check_trust("0.0.0.0/0", "::1", 0);
    check_trust("::/0", "::1", 1);
    check_trust("::/0", "203.0.113.9", 0);
    check_trust("::/0", "::ffff:203.0.113.9", 0);
    check_trust("::/0 127.0.0.1", "127.0.0.1", 1);
    check_trust("::ffff:0:0/95", "203.0.113.9", 0);
    check_trust("::ffff:10.0.0.0/104", "10.1.2.3", 1);
    check_trust("127.0.0.1", "::ffff:127.0.0.1", 1);
}

static void everybody_and_unix_sockets(void)
{
    fs_trusted trusted;

    trust(&trusted, "unix 10.0.0.1");
    CHECK(trusted.unix_peers && !trusted.everybody);
    fs_trusted_free(&trusted);
    trust(&trusted, "*");
    CHECK(trusted.unix_peers && trusted.everybody);
    fs_trusted_free(&trusted);
    trust(&trusted, "10.0.0.1");
    CHECK(!trusted.unix_peers && !trusted.everybody);
    fs_trusted_free(&trusted);
}

static void what_is_no_peer(void)
{
    static const char *const none[] = {
        "", "x", "unix ", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/a", "10.0.0.0/8/8",
        "10.0.0.0/1000",
        "10.0.0.1%eth0", "/8", "::/129", "::1/", "[::1]", "10.0.0", "localhost", "%eth0", "10.0.0.0/255.0.0.0", "**",
    };
    fs_trusted trusted;

    fs_trusted_init(&trusted, &harness_allocator);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        guarded copy = guarded_copy(none[i], strlen(none[i]));

        harness_note("%s", none[i]);
        CHECK(fs_trusted_add(&trusted, copy.p, copy.n) > 0);
        guarded_release(&copy);
    }
    fs_trusted_sort(&trusted);
    CHECK_INT(trusted.n, 0);
    fs_trusted_free(&trusted);
}

static void networks_within_others_are_dropped(void)
{
    fs_trusted trusted;

    trust(&trusted, "10.1.0.0/16 10.0.0.0/8 10.0.0.0/8 10.0.0.0/9 10.255.255.255 2001:db8::1 2001:db8::/32 9.0.0.0/8 ::1 11.0.0.0/8");
    CHECK_INT(trusted.n, 5);
    CHECK_INT(trusted.n_v4, 3);
    CHECK(has(&trusted, "10.200.0.1") && has(&trusted, "9.1.1.1") && has(&trusted, "11.1.1.1") && has(&trusted, "::1"));
    CHECK(has(&trusted, "2001:db8::7") && !has(&trusted, "12.0.0.0") && !has(&trusted, "8.255.255.255") && !has(&trusted, "::2"));
    fs_trusted_free(&trusted);
}

static uint32_t next_random(void)
{
    static uint32_t state = 88172645u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Of four values a byte, so that many addresses are in many networks. */
static fs_ip some_ip(int v4)
{
    static const uint8_t values[] = {0x00, 0x7f, 0x80, 0xff};
    fs_ip ip;

    for (size_t i = 0; i < sizeof ip.bytes; i++)
        ip.bytes[i] = i < 14 && i > 1 ? 0 : values[next_random() % 4];
    return v4 ? fs_ip_from_v4(ip.bytes + 12) : ip;
}

static int in_prefix(const fs_ip *ip, const fs_ip *network, uint32_t bits)
{
    for (uint32_t i = 0; i < bits; i++)
        if ((ip->bytes[i / 8] ^ network->bytes[i / 8]) >> (7 - i % 8) & 1)
            return 0;
    return 1;
}

static void many_networks_are_found_as_if_one_by_one(void)
{
    for (int round = 0; round < 300; round++) {
        fs_trusted trusted;
        fs_ip networks[40];
        uint32_t bits[40], n = 1 + next_random() % 40;

        fs_trusted_init(&trusted, &harness_allocator);
        for (uint32_t i = 0; i < n; i++) {
            const int v4 = next_random() % 2;
            char text[FS_IP_TEXT + 4];
            size_t length;

            networks[i] = some_ip(v4);
            bits[i] = v4 ? 96 + next_random() % 33 : next_random() % 129;
            if (!v4 && fs_ip_is_v4(&networks[i]))
                bits[i] = 128; /* written as IPv4, it is one */
            length = fs_ip_write(&networks[i], text);
            snprintf(text + length, 5, "/%u", fs_ip_is_v4(&networks[i]) ? bits[i] - 96 : bits[i]);
            CHECK_INT(fs_trusted_add(&trusted, text, strlen(text)), FS_OK);
        }
        fs_trusted_sort(&trusted);
        for (int asked = 0; asked < 200; asked++) {
            const fs_ip ip = some_ip(next_random() % 2);
            int expected = 0;

            for (uint32_t i = 0; i < n; i++)
                expected |= fs_ip_is_v4(&networks[i]) == fs_ip_is_v4(&ip) && in_prefix(&ip, &networks[i], bits[i]);
            CHECK_INT(fs_trusted_has(&trusted, &ip), expected);
        }
        fs_trusted_free(&trusted);
    }
}

static void without_memory_nothing_changes(void)
{
    fs_trusted trusted;

    trust(&trusted, "10.0.0.1");
    harness_fail_nth(1);
    CHECK_INT(fs_trusted_add(&trusted, "10.0.0.2", 8), FS_E_NOMEM);
    fs_trusted_sort(&trusted);
    CHECK(has(&trusted, "10.0.0.1") && !has(&trusted, "10.0.0.2"));
    fs_trusted_free(&trusted);
}

/* ---- what is said ------------------------------------------------------------- */

enum { MOST = 16 };

typedef struct message {
    fs_field fields[MOST];
    guarded values[MOST];
    uint32_t n;
} message;

static void add(message *m, uint32_t id, const char *value, size_t n)
{
    size_t name_len;
    const char *name = fs_field_name(id, &name_len);

    CHECK(m->n < MOST);
    m->values[m->n] = guarded_copy(value, n);
    m->fields[m->n] = (fs_field){name, m->values[m->n].p, (uint32_t)name_len, (uint32_t)n, id};
    m->n++;
}

/* Lines of "for=...", "proto=...", "host=..." and others, separated by line feeds. */
static void write_message(message *m, const char *lines)
{
    m->n = 0;
    add(m, FS_FIELD_HOST, "inner:8000", 10);
    while (*lines) {
        const size_t n = strcspn(lines, "\n");
        const char *value = memchr(lines, '=', n);
        const uint32_t id = *lines == 'f' ? FS_FIELD_X_FORWARDED_FOR : *lines == 'p' ? FS_FIELD_X_FORWARDED_PROTO
                            : *lines == 'h' ? FS_FIELD_X_FORWARDED_HOST : *lines == 'F' ? FS_FIELD_FORWARDED : FS_FIELD_UNKNOWN;

        CHECK(value != NULL);
        add(m, id, value + 1, n - (size_t)(value + 1 - lines));
        lines += n + (lines[n] == '\n');
    }
    add(m, FS_FIELD_COOKIE, "a=b", 3);
}

/* "client|port scheme host", each "-" where nothing was said. */
static void say(const fs_forwarded *said, char *text, size_t size)
{
    static const char *const schemes[] = {"-", "http", "https"};
    char client[FS_IP_TEXT] = "-";

    if (said->has_client)
        fs_ip_write(&said->client, client);
    CHECK(said->has_client || said->port == 0);
    snprintf(text, size, "%s|%u %s %.*s", client, said->port, schemes[said->scheme], said->host.n ? (int)said->host.n : 1,
             said->host.n ? said->host.p : "-");
}

static void check_said(const char *peers, const char *lines, const char *expected)
{
    fs_trusted trusted;
    fs_forwarded said;
    message m;
    char text[256];

    trust(&trusted, peers);
    write_message(&m, lines);
    fs_forwarded_read(&trusted, m.fields, m.n, &said);
    say(&said, text, sizeof text);
    harness_note("%s: %s, not %s", lines, text, expected);
    CHECK(strcmp(text, expected) == 0);
    for (uint32_t i = 0; i < m.n; i++)
        guarded_release(&m.values[i]);
    fs_trusted_free(&trusted);
}

#define PROXIES "127.0.0.1 10.0.0.0/8"

static void clients(void)
{
    static const char *const rows[][2] = {
        {"203.0.113.9", "203.0.113.9|0"},
        {"203.0.113.9:4711", "203.0.113.9|4711"},
        {"203.0.113.9:00080", "203.0.113.9|80"},
        {"203.0.113.9:0", "203.0.113.9|0"},
        {"203.0.113.9:65535", "203.0.113.9|65535"},
        {"2001:db8::1", "2001:db8::1|0"},
        {"[2001:db8::1]", "2001:db8::1|0"},
        {"[2001:db8::1]:4711", "2001:db8::1|4711"},
        {"[203.0.113.9]:1", "203.0.113.9|1"},
        {"2001:DB8:0::1", "2001:db8::1|0"},
        {"::ffff:203.0.113.9", "203.0.113.9|0"},
        {"::", "::|0"},
        /* the rightmost hop that is not trusted; what a client wrote itself stands left of it */
        {"1.1.1.1, 203.0.113.9", "203.0.113.9|0"},
        {"1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9|0"},
        {"1.1.1.1,203.0.113.9:80,10.0.0.7:81,127.0.0.1", "203.0.113.9|80"},
        {"1.1.1.1, 203.0.113.9, ::ffff:10.0.0.7", "203.0.113.9|0"},
        /* nobody but proxies: the outermost */
        {"10.0.0.9, 10.0.0.7", "10.0.0.9|0"},
        {"10.0.0.9:5, 10.0.0.7:6", "10.0.0.9|5"},
        /* empty elements do not count */
        {" , 203.0.113.9 ,, 10.0.0.7 ,", "203.0.113.9|0"},
        {"\t203.0.113.9\t, \t,10.0.0.7", "203.0.113.9|0"},
        /* what cannot be read hides what stands left of it */
        {"1.1.1.1, unknown, 10.0.0.7", "10.0.0.7|0"},
        {"1.1.1.1, unknown", "-|0"},
        {"1.1.1.1, 10.0.0.8:x, 10.0.0.7", "10.0.0.7|0"},
        {"", "-|0"}, {",", "-|0"}, {" , ,\t", "-|0"}, {"example.org", "-|0"}, {"_hidden", "-|0"}, {"203.0.113.9:",
        "-|0"},
        {"203.0.113.9:65536", "-|0"}, {"203.0.113.9:99999", "-|0"}, {"203.0.113.9:123456", "-|0"}, {"203.0.113.9:-1",
        "-|0"},
        {"203.0.113.9:8x", "-|0"}, {"203.0.113.256", "-|0"}, {"0203.0.113.9", "-|0"}, {"[203.0.113.9", "-|0"},
        {"203.0.113.9]", "-|0"},
        {"[203.0.113.9]8", "-|0"}, {"[203.0.113.9]:", "-|0"}, {"[]", "-|0"}, {"[", "-|0"}, {"]", "-|0"}, {"[]:80",
        "-|0"}, {":80", "-|0"},
        {":", "-|0"}, {"[[::1]]", "-|0"}, {"fe80::1%eth0", "-|0"}, {"[fe80::1%eth0]:80", "-|0"}, {"203.0.113.9\xff",
        "-|0"},
        {"\xb2.1.1.1", "-|0"}, {"203.0.113.9 10.0.0.7", "-|0"}, {"\"203.0.113.9\"", "-|0"}, {"for=203.0.113.9", "-|0"},
        {"1:2", "-|0"},
    };
    char lines[128], expected[128];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(lines, sizeof lines, "for=%s", rows[i][0]);
        snprintf(expected, sizeof expected, "%s - -", rows[i][1]);
        check_said(PROXIES, lines, expected);
    }
}

static void clients_over_several_lines(void)
{
    check_said(PROXIES, "for=1.1.1.1\nfor=203.0.113.9, 10.0.0.8\nfor=10.0.0.7", "203.0.113.9|0 - -");
    check_said(PROXIES, "for=1.1.1.1\nx=2\nfor=203.0.113.9\nhost=a\nfor=\nfor=,\nfor=10.0.0.7", "203.0.113.9|0 - a");
    check_said(PROXIES, "for=1.1.1.1\nfor=unknown\nfor=10.0.0.7", "10.0.0.7|0 - -");
    check_said(PROXIES, "for=\nfor=", "-|0 - -");
    check_said(PROXIES, "for=10.0.0.9\nfor=10.0.0.7", "10.0.0.9|0 - -");
}

static void everybody_is_believed_by_a_star(void)
{
    check_said("*", "for=1.1.1.1, 2.2.2.2", "1.1.1.1|0 - -");
    check_said("*", "for=1.1.1.1, x, 2.2.2.2, 3.3.3.3", "2.2.2.2|0 - -");
    check_said("", "for=1.1.1.1, 2.2.2.2", "2.2.2.2|0 - -");
}

static void schemes(void)
{
    static const char *const rows[][2] = {
        {"https", "https"}, {"HTTPS", "https"}, {" https ", "https"}, {"http", "http"}, {"Http", "http"}, {"wss",
        "https"}, {"WSS", "https"},
        {"ws", "http"}, {"ws, wss", "https"}, {"gopher", "-"}, {"", "-"}, {"https;", "-"}, {"http, https", "https"},
        {"https, gopher", "-"},
        {"https,", "https"}, {"httpss", "-"}, {"htt", "-"}, {"http\xff", "-"},
    };
    char lines[64], expected[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(lines, sizeof lines, "proto=%s", rows[i][0]);
        snprintf(expected, sizeof expected, "-|0 %s -", rows[i][1]);
        check_said("*", lines, expected);
    }
}

static void hosts(void)
{
    static const char *const good[] = {"example.org", "example.org:8443", "192.0.2.1", "[2001:db8::1]:80", "[::1]", "a_b-c.d", "A", "a:0"};
    static const char *const bad[] = {
        "", "a b", "a/b", "user@a", "a:", "a:x", "a:123456", "[::1", "\xe9.org", ":80", "[]", "[]:80", "[::g]",
        "[::1]x", "[::1]:", "a]", "a:1:2",
        "[a", "[", "a\t.b", "a?b", "a#b", "a%41",
    };
    char lines[64], expected[64];

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(lines, sizeof lines, "host=%s", good[i]);
        snprintf(expected, sizeof expected, "-|0 - %s", good[i]);
        check_said("*", lines, expected);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(lines, sizeof lines, "host=%s", bad[i]);
        check_said("*", lines, "-|0 - -");
    }
}

static void scheme_and_host_are_those_of_the_clients_hop(void)
{
    check_said(PROXIES, "for=1.1.1.1, 203.0.113.9, 10.0.0.7\nproto=gopher, https, http\nhost=forged.example, example.org, inner",
               "203.0.113.9|0 https example.org");
    check_said(PROXIES, "host=forged.example\nhost=example.org\nhost=inner\nproto=https\nproto=,http\nfor=203.0.113.9\nfor=10.0.0.7",
               "203.0.113.9|0 https example.org");
    /* one that is not appended to counts for every hop */
    check_said("10.0.0.0/8", "for=203.0.113.9, 10.0.0.7\nproto=https\nhost=a", "203.0.113.9|0 https a");
    check_said("10.0.0.0/8", "for=203.0.113.9, 10.0.0.7, 10.0.0.8, 10.0.0.9\nproto=https, http\nhost=a, b", "203.0.113.9|0 https a");
    /* a hop that cannot be read is none, and so the proxy right of it is the client */
    check_said("10.0.0.0/8", "for=unknown, 10.0.0.7\nproto=https, http\nhost=a, b", "10.0.0.7|0 http b");
    check_said("10.0.0.0/8", "for=203.0.113.9, unknown\nproto=https, http\nhost=a, b", "-|0 http b");
}

static void other_fields_say_nothing(void)
{
    check_said("*", "", "-|0 - -");
    check_said("*", "F=for=1.1.1.1\nx=81", "-|0 - -");
}

/* Of a list as long as a head may be, no more than what counts is read: from the right. */
static void a_long_list(void)
{
    enum { HOPS = 8000 };
    fs_trusted trusted;
    fs_forwarded said;
    fs_field field = {"x-forwarded-for", NULL, 15, 0, FS_FIELD_X_FORWARDED_FOR};
    char *list = malloc(HOPS * 11 + 16), text[64];
    size_t n = 0;

    CHECK(list != NULL);
    n += (size_t)sprintf(list, "203.0.113.9");
    for (int hop = 0; hop < HOPS; hop++)
        n += (size_t)sprintf(list + n, ",10.0.0.%d", hop % 256);
    field.value = list;
    field.value_len = (uint32_t)n;
    trust(&trusted, PROXIES);
    fs_forwarded_read(&trusted, &field, 1, &said);
    say(&said, text, sizeof text);
    CHECK(strcmp(text, "203.0.113.9|0 - -") == 0);
    memset(list, ',', n);
    fs_forwarded_read(&trusted, &field, 1, &said);
    CHECK(!said.has_client);
    fs_trusted_free(&trusted);
    free(list);
}

int main(void)
{
    RUN(addresses_and_networks);
    RUN(both_versions_are_apart);
    RUN(everybody_and_unix_sockets);
    RUN(what_is_no_peer);
    RUN(networks_within_others_are_dropped);
    RUN(many_networks_are_found_as_if_one_by_one);
    RUN(without_memory_nothing_changes);
    RUN(clients);
    RUN(clients_over_several_lines);
    RUN(everybody_is_believed_by_a_star);
    RUN(schemes);
    RUN(hosts);
    RUN(scheme_and_host_are_those_of_the_clients_hop);
    RUN(other_fields_say_nothing);
    RUN(a_long_list);
    return harness_end();
}
