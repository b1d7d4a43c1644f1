package clientip

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, text := range list {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

func newProxies(t testing.TB, list ...netip.Prefix) Proxies {
	t.Helper()
	p, err := NewProxies(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClient(t *testing.T) {
	t.Parallel()
	const proxy = "10.0.0.1:4711"
	trusted := map[string]Proxies{
		"none":   nil,
		"ten":    newProxies(t, prefixes("10.0.0.0/8", "2001:db8:a::/48")...),
		"one":    newProxies(t, prefixes("10.0.0.1/32")...),
		"mapped": newProxies(t, netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 104)),
	}
	long := strings.Repeat("x", 10000)
	for _, c := range []struct {
		what, proxies, peer string
		forwarded           []string
		want                string
	}{
		{"no proxy", "none", "192.0.2.7:1", nil, "192.0.2.7"},
		{"no proxy, a lie", "none", "192.0.2.7:1", []string{"203.0.113.9"}, "192.0.2.7"},
		{"no proxy, IPv6", "none", "[2001:DB8::0:7]:1", nil, "2001:db8::7"},
		{"no proxy, mapped", "none", "[::ffff:192.0.2.7]:1", nil, "192.0.2.7"},
		{"no proxy, zone", "none", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"no proxy, Unix socket", "none", "@", []string{"203.0.113.9"}, ""},
		{"no proxy, nothing", "none", "", []string{"203.0.113.9"}, ""},
		{"no proxy, set by a middleware", "none", "192.0.2.7", nil, ""},

		{"one hop", "ten", proxy, []string{"203.0.113.9"}, "203.0.113.9"},
		{"no header", "ten", proxy, nil, "10.0.0.1"},
		{"an empty header", "ten", proxy, []string{""}, "10.0.0.1"},
		{"spaces alone", "ten", proxy, []string{" \t "}, "10.0.0.1"},
		{"not by a proxy", "ten", "192.0.2.7:1", []string{"203.0.113.9"}, "192.0.2.7"},
		{"not by a proxy, with its address", "ten", "192.0.2.7:1", []string{"10.0.0.1"}, "192.0.2.7"},
		{"the client lies", "ten", proxy, []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"the client names a proxy", "ten", proxy, []string{"198.51.100.1, 10.0.0.2, 203.0.113.9"}, "203.0.113.9"},
		{"two proxies", "ten", proxy, []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"two proxies and a lie", "ten", proxy, []string{"198.51.100.1,203.0.113.9,10.0.0.2"}, "203.0.113.9"},
		{"three proxies, another family", "ten", "[2001:db8:a::1]:80", []string{"203.0.113.9, 10.2.3.4, 2001:db8:a:ffff::"}, "203.0.113.9"},
		{"a proxy that is not trusted", "one", proxy, []string{"203.0.113.9, 10.0.0.2"}, "10.0.0.2"},
		{"two lines", "ten", proxy, []string{"198.51.100.1", "203.0.113.9"}, "203.0.113.9"},
		{"two lines, the last by a proxy", "ten", proxy, []string{"198.51.100.1, 203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"an empty line at the end", "ten", proxy, []string{"203.0.113.9", ""}, "10.0.0.1"},
		{"all are proxies", "ten", proxy, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"all are proxies, in lines", "ten", proxy, []string{"10.0.0.4", "10.0.0.3,10.0.0.2"}, "10.0.0.4"},
		{"mapped prefix", "mapped", proxy, []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"mapped peer", "ten", "[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"mapped hop", "ten", proxy, []string{"203.0.113.9, ::ffff:10.0.0.2"}, "203.0.113.9"},
		{"mapped client", "ten", proxy, []string{"::FFFF:203.0.113.9"}, "203.0.113.9"},
		{"peer with a zone", "ten", "[2001:db8:a::1%eth0]:80", []string{"203.0.113.9"}, "203.0.113.9"},

		{"port", "ten", proxy, []string{"203.0.113.9:5678"}, "203.0.113.9"},
		{"IPv6", "ten", proxy, []string{"2001:DB8:0:0::1"}, "2001:db8::1"},
		{"IPv6 and port", "ten", proxy, []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		{"IPv6 in brackets", "ten", proxy, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 and zone", "ten", proxy, []string{"fe80::1%eth0"}, "fe80::1"},
		{"loopback", "ten", proxy, []string{"::1"}, "::1"},
		{"proxies with ports", "ten", proxy, []string{"203.0.113.9:1, 10.0.0.2:2, [2001:db8:a::1]:3"}, "203.0.113.9"},
		{"spaces and tabs", "ten", proxy, []string{"  203.0.113.9 \t,\t10.0.0.2  "}, "203.0.113.9"},

		{"unknown", "ten", proxy, []string{"unknown"}, "10.0.0.1"},
		{"unknown before a proxy", "ten", proxy, []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"unknown further off", "ten", proxy, []string{"unknown, 203.0.113.9"}, "203.0.113.9"},
		{"garbage", "ten", proxy, []string{"203.0.113.9, a,b"}, "10.0.0.1"},
		{"a comma at the end", "ten", proxy, []string{"203.0.113.9,"}, "10.0.0.1"},
		{"two commas", "ten", proxy, []string{"203.0.113.9,,10.0.0.2"}, "10.0.0.2"},
		{"commas alone", "ten", proxy, []string{",,,,"}, "10.0.0.1"},
		{"quotes", "ten", proxy, []string{`"203.0.113.9"`}, "10.0.0.1"},
		{"as in Forwarded", "ten", proxy, []string{"for=203.0.113.9"}, "10.0.0.1"},
		{"a name", "ten", proxy, []string{"client.example"}, "10.0.0.1"},
		{"a name and a port", "ten", proxy, []string{"client.example:80"}, "10.0.0.1"},
		{"four numbers and a fifth", "ten", proxy, []string{"203.0.113.9.1"}, "10.0.0.1"},
		{"leading zero", "ten", proxy, []string{"203.0.113.09"}, "10.0.0.1"},
		{"short", "ten", proxy, []string{"203.0"}, "10.0.0.1"},
		{"a prefix", "ten", proxy, []string{"203.0.113.0/24"}, "10.0.0.1"},
		{"port out of range", "ten", proxy, []string{"203.0.113.9:99999"}, "10.0.0.1"},
		{"colon alone", "ten", proxy, []string{"203.0.113.9:"}, "10.0.0.1"},
		{"IPv4 in brackets", "ten", proxy, []string{"[203.0.113.9]"}, "10.0.0.1"},
		{"IPv4 in brackets and port", "ten", proxy, []string{"[203.0.113.9]:80"}, "10.0.0.1"},
		{"empty brackets", "ten", proxy, []string{"[]"}, "10.0.0.1"},
		{"open bracket", "ten", proxy, []string{"[2001:db8::1"}, "10.0.0.1"},
		{"closed bracket", "ten", proxy, []string{"2001:db8::1]"}, "10.0.0.1"},
		{"NUL", "ten", proxy, []string{"203.0.113.9\x00"}, "10.0.0.1"},
		{"space inside", "ten", proxy, []string{"203.0.113.9 10.0.0.2"}, "10.0.0.1"},
		{"line feed", "ten", proxy, []string{"203.0.113.9\n10.0.0.2"}, "10.0.0.1"},
		{"no-break space", "ten", proxy, []string{"203.0.113.9\u00a0"}, "10.0.0.1"},
		{"fullwidth", "ten", proxy, []string{"２０３.0.113.9"}, "10.0.0.1"},
		{"10 kB", "ten", proxy, []string{long}, "10.0.0.1"},
		{"10 kB before the client", "ten", proxy, []string{long + ", 203.0.113.9"}, "203.0.113.9"},
		{"10 kB before a proxy", "ten", proxy, []string{long + ", 10.0.0.2"}, "10.0.0.2"},
		// Cut anywhere, it would be an address that nobody has been seen with.
		{"10 kB with an address at its end", "ten", proxy, []string{long + " 203.0.113.9"}, "10.0.0.1"},
		{"10 kB and spaces before an address", "ten", proxy, []string{long + strings.Repeat(" ", 200) + "203.0.113.9"}, "10.0.0.1"},
		{"10 kB of digits", "ten", proxy, []string{strings.Repeat("1", 9990) + "203.0.113.9"}, "10.0.0.1"},
		{"10 kB of spaces", "ten", proxy, []string{"203.0.113.9" + strings.Repeat(" ", 10000)}, "10.0.0.1"},
		{"a megabyte of proxies", "ten", proxy, []string{strings.Repeat("10.0.0.9,", 110000) + "10.0.0.2"}, "10.0.0.9"},
		{"a megabyte of commas", "ten", proxy, []string{strings.Repeat(",", 1<<20)}, "10.0.0.1"},
		{"32 proxies", "ten", proxy, []string{"203.0.113.9" + strings.Repeat(",10.0.0.2", 31)}, "203.0.113.9"},
		{"33 proxies", "ten", proxy, []string{"203.0.113.9,10.0.0.3" + strings.Repeat(",10.0.0.2", 31)}, "10.0.0.3"},
		{"33 lines", "ten", proxy, append([]string{"203.0.113.9", "10.0.0.3"}, slices.Repeat([]string{"10.0.0.2"}, 31)...), "10.0.0.3"},

		{"Unix socket", "ten", "@", []string{"203.0.113.9"}, "203.0.113.9"},
		{"abstract Unix socket", "ten", "@nginx", []string{"203.0.113.9"}, "203.0.113.9"},
		{"Unix socket with a path", "ten", "/run/nginx.sock", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"nothing", "ten", "", []string{"203.0.113.9"}, "203.0.113.9"},
		{"Unix socket and another proxy", "ten", "@", []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"Unix socket and no header", "ten", "@", nil, ""},
		{"Unix socket and garbage", "ten", "@", []string{"unknown"}, ""},
		// Not what a server writes, and who knows who did.
		{"a peer that is a name", "ten", "client.example:80", []string{"203.0.113.9"}, ""},
		{"a peer without a port", "ten", "192.0.2.7", []string{"203.0.113.9"}, ""},
		{"a proxy without a port", "ten", "10.0.0.1", []string{"203.0.113.9"}, ""},
		{"a peer that is garbage", "ten", "unknown", []string{"203.0.113.9"}, ""},
		{"a peer in open brackets", "ten", "[10.0.0.1", []string{"203.0.113.9"}, ""},
		{"a peer that is a list", "ten", "10.0.0.1:80, 10.0.0.2", []string{"203.0.113.9"}, ""},
	} {
		got := ""
		if a := trusted[c.proxies].Client(c.peer, c.forwarded); a.IsValid() {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// Nothing that a client sends chooses the address, once a proxy has added the
// client's. Without it the address is still one in canonical form.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.9", "10.0.0.2, 10.0.0.3", "unknown", "[::1]:80,", "::ffff:10.0.0.1\n10.0.0.2", "fe80::1%10.0.0.1"} {
		f.Add(seed)
	}
	trusted := newProxies(f, prefixes("10.0.0.0/8", "::1/128")...)
	ask := func(lines []string) netip.Addr { return trusted.Client("10.0.0.1:1", lines) }
	f.Fuzz(func(t *testing.T, sent string) {
		lines := strings.Split(sent, "\n")
		if a := ask(lines); !a.IsValid() || a.Zone() != "" || a.Is4In6() {
			t.Errorf("%q is from %q", sent, a)
		}
		for _, added := range [][]string{{sent + ", 192.0.2.7"}, append(slices.Clip(lines), "192.0.2.7:80, 10.0.0.2"), append(slices.Clip(lines), "192.0.2.7", "::1")} {
			if got := ask(added); got != netip.AddrFrom4([4]byte{192, 0, 2, 7}) {
				t.Errorf("%q is from %q", added, got)
			}
		}
	})
}

func TestNewProxies(t *testing.T) {
	t.Parallel()
	mapped := func(bits int) netip.Prefix { return netip.PrefixFrom(netip.MustParseAddr("::ffff:0:0"), bits) }
	for _, c := range []struct {
		what    string
		proxies []netip.Prefix
		ok      bool
	}{
		{"none", nil, true},
		{"some", prefixes("10.0.0.0/8", "127.0.0.1/32", "::1/128", "fd00::/8"), true},
		{"bits of a host", prefixes("10.1.2.3/8"), true},
		{"half of all", prefixes("0.0.0.0/1"), true},
		{"mapped", []netip.Prefix{mapped(104)}, true},
		{"the zero value", make([]netip.Prefix, 1), false},
		{"a second that is none", append(prefixes("10.0.0.0/8"), netip.Prefix{}), false},
		{"too many bits", []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 33)}, false},
		{"negative", []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), -1)}, false},
		{"everybody", prefixes("0.0.0.0/0"), false},
		{"everybody with bits of a host", prefixes("10.0.0.1/0"), false},
		{"everybody by IPv6", prefixes("::/0"), false},
		{"a second that is everybody", prefixes("10.0.0.0/8", "::/0"), false},
		{"everybody mapped", []netip.Prefix{mapped(96)}, false},
		{"everybody mapped and more", []netip.Prefix{mapped(90)}, false},
		{"mapped and negative", []netip.Prefix{mapped(-1)}, false},
	} {
		_, err := NewProxies(c.proxies)
		if (err == nil) != c.ok || err != nil && !strings.HasPrefix(err.Error(), "auth: Config.Network.TrustedProxies") {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// What the caller does with its slice later changes nothing.
	list := prefixes("10.0.0.0/8")
	p := newProxies(t, list...)
	list[0] = netip.MustParsePrefix("192.0.2.0/24")
	if _, trusted := p.Peer("10.0.0.1:1"); !trusted {
		t.Error("the caller's slice is used")
	}
}

// A hundred logins from one address that is not public make a proxy of it, once.
func TestWatch(t *testing.T) {
	t.Parallel()
	oneOther := func(address, other string, at int) func(int) string {
		return func(i int) string {
			if i == at {
				return other
			}
			return address
		}
	}
	same := func(address string) func(int) string { return oneOther(address, "", -1) }
	for _, c := range []struct {
		what string
		from func(int) string
		want int
	}{
		{"private", same("10.0.0.1"), 1},
		{"private IPv6", same("fd00::1"), 1},
		{"loopback", same("127.0.0.1"), 1},
		{"loopback IPv6", same("::1"), 1},
		{"link-local", same("fe80::1"), 1},
		{"none", same(""), 1},
		{"public", same("192.0.2.7"), 0},
		{"the first is another", oneOther("10.0.0.1", "10.0.0.2", 0), 0},
		{"the last of a hundred is another", oneOther("10.0.0.1", "10.0.0.2", 99), 0},
		{"the one after them is another", oneOther("10.0.0.1", "10.0.0.2", 100), 1},
		{"one is public", oneOther("10.0.0.1", "192.0.2.7", 50), 0},
		{"one has no address", oneOther("10.0.0.1", "", 50), 0},
	} {
		var w Watch
		for i := range 250 {
			a, _ := netip.ParseAddr(c.from(i))
			if got := w.Suspects(a); got != (i == 99 && c.want == 1) {
				t.Errorf("%s: login %d: %v", c.what, i+1, got)
			}
		}
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.0/24", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "": "invalid Prefix", "unknown": "invalid Prefix",
	} {
		if got := Network(address).String(); got != want {
			t.Errorf("%q is in %s, want %s", address, got, want)
		}
	}
}

func TestLimitPrefix(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"":                                "",
		"192.0.2.7":                       "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6":            "2001:db8:1:2::/64",
		"2001:db8:1:2::":                  "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff:ffff::":        "2001:db8:1:2::/64",
		"2001:db8:1:3::":                  "2001:db8:1:3::/64",
		"2001:DB8:1:2:0:0:0:1":            "2001:db8:1:2::/64",
		"2001:0db8:0001:0002::1":          "2001:db8:1:2::/64",
		"::1":                             "::/64",
		"fe80::1":                         "fe80::/64",
		"fe80::1%eth0":                    "fe80::/64",
		"::ffff:192.0.2.7":                "192.0.2.7/32",
		"::FFFF:c000:207":                 "192.0.2.7/32",
		"0:0:0:0:0:ffff:192.0.2.7":        "192.0.2.7/32",
		"unknown":                         "",
		"192.0.2.7.1":                     "",
		"2001:db8:1:2:3:4:5:6:7":          "",
		"2001:db8:1:2::/64":               "",
		"2001:db8:1:2::1\x00":             "",
		"[2001:db8:1:2::1":                "",
		"2001:db8:1:2::1, 2001:db8:1:2::": "",
	} {
		if got := LimitPrefix(address); got != want {
			t.Errorf("%q is limited as %q, want %q", address, got, want)
		}
	}
}
