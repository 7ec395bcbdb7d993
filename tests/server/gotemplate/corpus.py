"""Templates and what Alertmanager makes of them, as ``amtool template render`` 0.25 printed it.

The data are those of ``NOTIFICATION`` in ``data.py``.
"""
# ruff: noqa: E501 - a template and what is printed, a line each

TEXT: tuple[tuple[str, str], ...] = (
    ('{{ printf "%v %+v %#v %T" 1.5 1.5 1.5 1.5 }}', "1.5 1.5 1.5 float64"),
    ('{{ printf "%d|%5d|%-5d|%05d|%+d|% d" 7 7 7 7 7 7 }}', "7|    7|7    |00007|+7| 7"),
    ('{{ printf "%x|%X|%#x|%o|%#o|%O|%b|%#b" 255 255 255 8 8 8 5 5 }}', "ff|FF|0xff|10|010|0o10|101|0b101"),
    ('{{ printf "%c|%-3c|%q|%+q|%U|%#U|%#U" 65 65 65 233 65 65 7 }}', "A|A  |'A'|'\\u00e9'|U+0041|U+0041 'A'|U+0007"),
    (
        '{{ printf "%08b|%+x|%#08x|% x|%.5d|%8.5d|%-8.3d|%06d|%.0d" 5 10 255 10 42 42 7 -7 0 }}',
        "00000101|+a|0x000000ff| a|00042|   00042|007     |-00007|",
    ),
    ('{{ printf "%d %v %x" -5 -5 -255 }}', "-5 -5 -ff"),
    (
        '{{ printf "%s|%q|%x|%X|% x|%#x|%# X" "héy" "h\\"é\\n\\x01" "hé" "hé" "hé" "hé" "hé" }}',
        'héy|"h\\"é\\n\\x01"|68c3a9|68C3A9|68 c3 a9|0x68c3a9|0X68 0XC3 0XA9',
    ),
    (
        '{{ printf "%5s|%-5s|%.2s|%5.1s|%+q|%#q|%.2x|%#q" "ab" "ab" "abcdef" "ab" "é😀" "a" "abc" "a`b" }}',
        '   ab|ab   |ab|    a|"\\u00e9\\U0001f600"|`a`|6162|"a`b"',
    ),
    (
        '{{ printf "%q %q %q" "\\a\\b\\f\\r\\t\\v\\\\" "\\u200b" "\\U0001F600" }}',
        '"\\a\\b\\f\\r\\t\\v\\\\" "\\u200b" "😀"',
    ),
    (
        '{{ printf "%f|%.2f|%8.3f|%-8.1f|%08.2f|%+.1f|% .1f|%.0f" 3.14159 3.14159 3.14159 3.14159 -3.14159 3.14159 3.14159 2.5 }}',
        "3.141590|3.14|   3.142|3.1     |-0003.14|+3.1| 3.1|2",
    ),
    (
        '{{ printf "%e|%.2e|%E|%g|%.3g|%G|%F|%#g|%#.3g|%#g" 123456.789 123456.789 0.00012 1e-7 123456.789 1e-7 1.0 1.0 1.0 1e10 }}',
        "1.234568e+05|1.23e+05|1.200000E-04|1e-07|1.23e+05|1E-07|1.000000|1.00000|1.00|1.00000e+10",
    ),
    (
        '{{ printf "%x %X %x %.3v %10.3v|" 1.5 -0.1 0.0 3.14159 3.14159 }}',
        "0x1.8p+00 -0X1.999999999999AP-04 0x0p+00 3.14       3.14|",
    ),
    ('{{ printf "%t|%v|%5t|%-6t|" true false true false }}', "true|false| true|false |"),
    (
        '{{ printf "%d" 1.5 }} {{ printf "%s" 5 }} {{ printf "%d" "x" }} {{ printf "%z" 1 }} {{ printf "%t" 1 }} {{ printf "%q" true }}',
        "%!d(float64=1.5) %!s(int=5) %!d(string=x) %!z(int=1) %!t(int=1) %!q(bool=true)",
    ),
    (
        '{{ printf "%" }} {{ printf "%d %d" 1 }} {{ printf "%d" 1 2 "x" nil }} {{ printf "%%" }} {{ printf "%!" }} {{ printf "%-" }}',
        "%!(NOVERB) 1 %!d(MISSING) 1%!(EXTRA int=2, string=x, <nil>) % %!!(MISSING) %!(NOVERB)",
    ),
    (
        '{{ printf "%[2]d %[1]d" 1 2 }} {{ printf "%[3]d" 1 }} {{ printf "%[1]d %d" 1 2 }} {{ printf "%[x]d" 1 }} {{ printf "%[2]*[1]d|" 7 4 }}',
        "2 1 %!d(BADINDEX) 1 2 %!d(BADINDEX)    7|",
    ),
    (
        '{{ printf "%*d|%-*d|%*d|" 5 1 5 2 -4 3 }} {{ printf "%.*f" 2 3.14159 }} {{ printf "%*d" "x" 1 }} {{ printf "%.*f" -1 2.5 }} {{ printf "%*d" 2000000 1 }}',
        "    1|2    |3   | 3.14 %!(BADWIDTH)1 %!(BADPREC)2.500000 %!(BADWIDTH)1",
    ),
    (
        '{{ printf "%v %s %d" nil nil nil }} {{ print nil }} {{ print 1 2 "a" 3 4 "b" }} {{ print 1.0 2.5 true false }} {{ println 1 "a" 2 }}|',
        "<nil> %!s(<nil>) %!d(<nil>) <nil> 1 2a3 4b 1 2.5 true false 1 a 2\n|",
    ),
    (
        '{{ printf "%#v %#v" (slice .CommonLabels.SortedPairs 0 1) .CommonLabels.SortedPairs }}',
        'template.Pairs{template.Pair{Name:"alertname", Value:"Disk"}} template.Pairs{template.Pair{Name:"alertname", Value:"Disk"}, template.Pair{Name:"job", Value:"node"}}',
    ),
    (
        '{{ printf "%+v %#v" .CommonLabels.Names .CommonLabels.Names }} {{ printf "%5v|%-8s|%q" .CommonLabels.Names .CommonLabels.Names .CommonLabels.Names }}',
        '[alertname job] []string{"alertname", "job"} [alertname   job]|[alertname job     ]|["alertname" "job"]',
    ),
    (
        '{{ printf "%+v" (index .CommonLabels.SortedPairs 0) }} {{ printf "%#v" (index .CommonLabels.SortedPairs 0) }} {{ index .CommonLabels.SortedPairs 1 }}',
        '{Name:alertname Value:Disk} template.Pair{Name:"alertname", Value:"Disk"} {job node}',
    ),
    (
        '{{ printf "%#v %#v %#v %#v" 1 "a" true 1e6 }} {{ printf "%T %T %T %T" 1 "a" .CommonLabels .CommonLabels.Names }}',
        '1 "a" true 1e+06 int string template.KV []string',
    ),
    (
        '{{ printf "%d %s" .CommonLabels.Names .CommonLabels.Names }} {{ printf "%x" .CommonLabels.Names }}',
        "[%!d(string=alertname) %!d(string=job)] [alertname job] [616c6572746e616d65 6a6f62]",
    ),
    (
        "{{ 1e6 }} {{ 123456.0 }} {{ 1e5 }} {{ 1e-5 }} {{ 0.0001 }} {{ 100000000.0 }} {{ 1.5e300 }} {{ -0.0 }} {{ 0.1 }} {{ 1e21 }} {{ 12345678.9 }}",
        "1e+06 123456 100000 1e-05 0.0001 1e+08 1.5e+300 -0 0.1 1e+21 1.23456789e+07",
    ),
    (
        "{{ 0x1F }} {{ 017 }} {{ 0o17 }} {{ 0b11 }} {{ 1_000 }} {{ 'a' }} {{ '\\n' }} {{ '\\u00e9' }} {{ '\\x41' }} {{ '\\101' }} {{ .5 }} {{ 5. }} {{ 0x1p4 }} {{ -5 }} {{ +5 }} {{ '\\'' }}",
        "31 15 15 3 1000 97 10 233 65 65 0.5 5 16 -5 5 39",
    ),
    (
        "{{ 9223372036854775807 }} {{ -9223372036854775808 }} {{ 0 }} {{ 1e3 }}",
        "9223372036854775807 -9223372036854775808 0 1000",
    ),
    ('{{ `a\\n"b` }} {{ "\\x41\\101\\u0041\\U00000041" }} {{ "\\"" }} {{ "é" }}', 'a\\n"b AAAA " é'),
    (
        '{{ len "héy" }} {{ len .Alerts }} {{ len .CommonLabels }} {{ index "abc" 1 }} {{ slice "abcdef" 1 3 }} {{ slice "abc" 1 }} {{ slice "abc" }} {{ slice .CommonLabels.Names 1 }} {{ slice .CommonLabels.Names 0 1 2 }}',
        "4 2 2 98 bc bc abc [job] [alertname]",
    ),
    (
        '{{ eq 1 1 }} {{ eq 1 2 1 }} {{ eq "a" "a" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt "b" "a" }} {{ ge 1.5 1.5 }} {{ eq true true }} {{ lt "a" "é" }} {{ le 3 2 }} {{ ne "a" "b" }}',
        "true true true true true true true true true true false true",
    ),
    (
        '{{ and 1 0 2 }} {{ and 1 2 }} {{ or 0 "" "x" }} {{ or 0 "" }} {{ not 1 }} {{ not "" }} {{ and true false }} {{ 1 | and 2 }} {{ 0 | or 0.0 }} {{ or 1 (index .Alerts 9) }}',
        "0 2 x  false true false 1 0 1",
    ),
    (
        '{{ html "<a href=\'x\'>&\\"" }} {{ js "it\'s \\"x\\" <b> &=\\n é" }} {{ urlquery "a b&c=d/é~-_.+*" }} {{ html 1 "a" 2 }} {{ js "\\u2028" }}',
        '&lt;a href=&#39;x&#39;&gt;&amp;&#34; it\\\'s \\"x\\" \\u003Cb\\u003E \\u0026\\u003D\\u000A é a+b%26c%3Dd%2F%C3%A9~-_.%2B%2A 1a2 \\u2028',
    ),
    ('{{ if .Alerts }}a{{ else }}b{{ end }}{{ if 0 }}a{{ else if "" }}b{{ else if 1.5 }}c{{ else }}d{{ end }}', "ac"),
    (
        "{{ with .CommonLabels.job }}{{ . }}{{ else }}none{{ end }} {{ with .CommonLabels.nope }}{{ . }}{{ else }}none{{ end }} {{ with $x := 5 }}{{ $x }}{{ end }}",
        "node none 5",
    ),
    (
        "{{ range $i, $a := .Alerts }}{{ if $i }}, {{ end }}{{ $i }}:{{ $a.Labels.instance }}{{ end }} {{ range $k, $v := .CommonLabels }}{{ $k }}={{ $v }};{{ end }} {{ range .CommonLabels }}{{ . }},{{ end }}",
        "0:a:1, 1:b:1 alertname=Disk;job=node; Disk,node,",
    ),
    (
        "{{ range $x := .Alerts }}{{ $x.Status }}{{ end }} {{ range .Alerts.Resolved }}{{ .Labels.instance }}{{ else }}none{{ end }} {{ range slice .Alerts 0 0 }}x{{ else }}none{{ end }}",
        "firingresolved b:1 none",
    ),
    (
        '{{ range .CommonLabels.Names }}{{ if eq . "alertname" }}{{ continue }}{{ end }}{{ . }}{{ end }} {{ range $i, $n := .CommonLabels.Names }}{{ if $i }}{{ break }}{{ end }}{{ $n }}{{ end }}',
        "job alertname",
    ),
    ('{{ $i := 9 }}{{ $v := "" }}{{ range $i, $v = .CommonLabels.Names }}{{ end }}{{ $i }}{{ $v }}', "1job"),
    (
        '{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}{{ if true }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }} {{ $y := "a" | printf "%s-%s" "b" }}{{ $y }}',
        "232 b-a",
    ),
    (
        '{{ template "T" 5 }}{{ template "T" }}{{ template "T" .Status }}{{ block "B" .Status }}<{{ . }}>{{ end }}',
        "[55][<no value><no value>][firingfiring]<firing>",
    ),
    ('a  {{- 3 -}}  b  {{- /* c */ -}}  d {{/* e */}} {{- " f " -}}  g', "a3bd  f g"),
    (
        '{{ ((index .Alerts 0).Labels).instance }} {{ (index .Alerts 0).Labels.instance }} {{ index .CommonLabels "job" }} {{ index (index .Alerts 1).Annotations "summary" }} {{ index .CommonLabels "zz" }}|',
        "a:1 a:1 node Disk <b>full</b> & more |",
    ),
    (
        '{{ .CommonLabels.SortedPairs.Values | join "," }} {{ (.CommonLabels.Remove (stringSlice "job")).Names }} {{ (.CommonLabels.Remove nil).Names }} {{ $.Status }} {{ .Receiver }} {{ .ExternalURL }}',
        "Disk,node [alertname] [alertname job] firing team\\.x http://am:9093",
    ),
    (
        '{{ (index .Alerts 1).EndsAt.Format "2006-01-02T15:04:05Z07:00" }} {{ (index .Alerts 1).StartsAt }} {{ (index .Alerts 1).StartsAt.Unix }} {{ (index .Alerts 0).StartsAt.Year }} {{ (index .Alerts 0).StartsAt.Month }} {{ (index .Alerts 0).StartsAt.Weekday }} {{ (index .Alerts 0).StartsAt.YearDay }}',
        "1970-01-01T00:00:02Z 1970-01-01 00:00:01 +0000 UTC 1 1970 January Thursday 1",
    ),
    (
        '{{ (index .Alerts 1).EndsAt.Format "Mon Jan _2 15:04:05 MST 2006 | Monday January 02 Jan 1 2 3 4 5 06 03 PM pm 002 -0700 -07:00 -07 Z07:00 .000 .999 .00 __2 Janu Mond _2006 ,000 -070000 Z07:00:00" }}',
        "Thu Jan  1 00:00:02 UTC 1970 | Thursday January 01 Jan 1 1 12 0 2 70 12 AM am 001 +0000 +00:00 +00 Z .000  .00   1 Janu Mond _1970 ,000 +000000 Z",
    ),
    (
        '{{ ((index .Alerts 1).EndsAt.Sub (index .Alerts 1).StartsAt) }} {{ ((index .Alerts 1).EndsAt.Sub (index .Alerts 1).StartsAt).Seconds }} {{ ((index .Alerts 1).StartsAt.Add 5400000000000).Format "15:04" }} {{ (index .Alerts 1).StartsAt.AddDate 1 2 35 }} {{ (index .Alerts 1).EndsAt.After (index .Alerts 1).StartsAt }}',
        "1s 1 01:30 1971-04-05 00:00:01 +0000 UTC true",
    ),
    (
        "{{ with (index .Alerts 1).EndsAt }}{{ .Day }} {{ .Hour }} {{ .Minute }} {{ .Second }} {{ .Nanosecond }} {{ .UnixMilli }} {{ .UnixMicro }} {{ .UnixNano }} {{ .IsZero }} {{ .UTC }} {{ .Truncate 60000000000 }} {{ .Before . }} {{ .Equal . }} {{ .String }}{{ end }} {{ (index .Alerts 0).EndsAt.IsZero }}",
        "1 0 0 2 0 2000 2000000 2000000000 false 1970-01-01 00:00:02 +0000 UTC 1970-01-01 00:00:00 +0000 UTC false true 1970-01-01 00:00:02 +0000 UTC true",
    ),
    (
        '{{ with ((index .Alerts 1).StartsAt.Add 90061001002003).Sub (index .Alerts 0).StartsAt }}{{ . }} {{ .Hours }} {{ .Minutes }} {{ .Milliseconds }} {{ .Microseconds }} {{ .Nanoseconds }} {{ .Round 60000000000 }} {{ .Truncate 3600000000000 }} {{ printf "%d %v %s" . . . }} {{ .Round 0 }}{{ end }}',
        "25h1m2.001002003s 25.01722250055639 1501.0333500333834 90062001 90062001002 90062001002003 25h1m0s 25h0m0s 90062001002003 25h1m2.001002003s 25h1m2.001002003s 25h1m2.001002003s",
    ),
    (
        "{{ with (index .Alerts 0).StartsAt.Sub (index .Alerts 1).StartsAt }}{{ . }} {{ .Milliseconds }} {{ .Round 300000000 }} {{ .Truncate 300000000 }}{{ end }} {{ (index .Alerts 0).StartsAt.Sub (index .Alerts 0).StartsAt }}",
        "-1s -1000 -900ms -900ms 0s",
    ),
    (
        '{{ with (index .Alerts 0).StartsAt }}{{ (.Add 1).Sub . }} {{ (.Add 1500).Sub . }} {{ (.Add 1500000).Sub . }} {{ (.Add 61000000000).Sub . }} {{ (.Add 1).Format ".000000000 .999999999 .9" }}{{ end }}',
        "1ns 1.5µs 1.5ms 1m1s .000000001 .000000001 ",
    ),
    (
        '{{ title "hello wORLD it\'s a-b c_d e.f 1st" }} {{ toUpper "aé" }} {{ toLower "AÉ" }} {{ "x" | safeHtml }}',
        "Hello World It's A-B C_d E.f 1St AÉ aé x",
    ),
    (
        '{{ reReplaceAll "(a)(b)?" "$1-${2}x$3" "abac" }} {{ reReplaceAll "x*" "-" "abc" }} {{ reReplaceAll "a*" "x" "baaac" }} {{ reReplaceAll "(?P<n>b)" "[${n}$$\\\\]" "abc" }} {{ reReplaceAll "b" "$1x$0" "abc" }}',
        "a-bxa-xc -a-b-c- xbxcx a[b$\\]c abc",
    ),
    (
        '{{ match "^a.c$" "abc" }} {{ match "b" "abc" }} {{ match "^b" "abc" }} {{ match "(?i)B" "abc" }} {{ match "\\\\pL" "é" }}',
        "true true false true true",
    ),
    (
        '{{ .Alerts | len | printf "%03d" }} {{ eq .Status "firing" | not }} {{ printf "%6.2f%%" 12.3456 }} {{ (1) }} {{ len (  .Alerts  )  }} {{ print (index .CommonLabels "zz") "|" }}',
        "002 false  12.35% 1 2 |",
    ),
    (
        "{{ print .CommonLabels.nope }}|{{ .Alerts.Firing | len }}|{{ $z := 1 }}{{ $z }}{{ true }} {{ print -1 }}",
        "|1|1true -1",
    ),
    (
        '{{ .CommonLabels.Names }} {{ printf "%-3d|" 5 | printf "%s%s" "a" }} {{ slice "héy" 0 2 | len }}{{ slice "héy" 2 3 | printf "%q" }}',
        '[alertname job] a5  | 2"\\xa9"',
    ),
    ("{{\n\t.Status\n}}", "firing"),
)

HTML: tuple[tuple[str, str], ...] = (
    ('{{ "<b>&\\"\'+é" }}', "&lt;b&gt;&amp;&#34;&#39;&#43;é"),
    ('<a href="{{ .ExternalURL }}">x</a>', '<a href="http://am:9093">x</a>'),
    ('<a href="{{ "javascript:alert(1)" }}">x</a>', '<a href="#ZgotmplZ">x</a>'),
    ('<a href="/x?q={{ "a b&c" }}&r={{ "é" }}#{{ "z z" }}">x</a>', '<a href="/x?q=a%20b%26c&r=%c3%a9#z%20z">x</a>'),
    (
        '<a href="{{ "http://x/a b?c=d&e=(f)\'\\"%zz%41" }}">',
        '<a href="http://x/a%20b?c=d&amp;e=%28f%29%27%22%25zz%41">',
    ),
    ('<a title="{{ "a\\"b\'c<d>+" }}">', '<a title="a&#34;b&#39;c&lt;d&gt;&#43;">'),
    ("<a title='{{ \"a'b\" }}'>", "<a title='a&#39;b'>"),
    ('<a title={{ "a b=c`" }}>', "<a title=a&#32;b&#61;c&#96;>"),
    ("<!-- x -->a<!-- {{ 1 }} -->b", "ab"),
    ('{{ "x<y" | safeHtml }}', "x<y"),
    ('<a title="{{ "<b>x</b>&amp;" | safeHtml }}">', '<a title="x&amp;">'),
    ('<title>{{ "<a>" }}</title>{{ "<" }}', "<title>&lt;a&gt;</title>&lt;"),
    ('<textarea>{{ "</textarea>" }}</textarea>', "<textarea>&lt;/textarea&gt;</textarea>"),
    ('<div style="color: {{ "red" }}">', '<div style="color: red">'),
    ('<div style="color: {{ "expression(1)" }}">', '<div style="color: ZgotmplZ">'),
    ('{{ "a<" | html }}', "a&lt;"),
    ('<a href="{{ "x y" | urlquery }}">', '<a href="x&#43;y">'),
    ('<img src={{ "a b" }}>', "<img src=a%20b>"),
    (
        "{{ range .Alerts }}<li>{{ .Annotations.summary }}</li>{{ end }}",
        "<li>Disk &lt;b&gt;full&lt;/b&gt; &amp; more</li><li>Disk &lt;b&gt;full&lt;/b&gt; &amp; more</li>",
    ),
    ('<a href="mailto:{{ "a@b" }}">', '<a href="mailto:a@b">'),
    ('<a href="{{ "HTTPS://x" }}">', '<a href="HTTPS://x">'),
    ('<a href="{{ "//x/y:z" }}">', '<a href="//x/y:z">'),
    ("<br/>{{ 1 }}<br>{{ 2.5 }}{{ true }}", "<br/>1<br>2.5true"),
    ('<a data-href="{{ "javascript:x" }}">', '<a data-href="#ZgotmplZ">'),
    ('<td align="{{ "a" }}" bgcolor = "{{ "#fff" }}" nowrap>{{ "<" }}', '<td align="a" bgcolor = "#fff" nowrap>&lt;'),
    ('<style>p{color:{{ "red" }}}</style>{{ "<" }}', "<style>p{color:red}</style>&lt;"),
    ('<a href="{{ if true }}x{{ else }}y{{ end }}{{ "a b" }}">', '<a href="xa%20b">'),
    (
        "<a href='{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}'>",
        "<a href='http://am:9093/#/alerts?receiver=team%5C.x'>",
    ),
    (
        '{{ template "U" . }}<a href="{{ template "U" . }}">',
        'http://am:9093/a?b=team%5C.x<a href="http://am:9093/a?b=team%5C.x">',
    ),
    ('<script>var x = {{ 5 }};</script>{{ "<" }}', "<script>var x =  5 ;</script>&lt;"),
    ('<script>if (a < b) {}</script>{{ "<" }}', "<script>if (a < b) {}</script>&lt;"),
    ('<p onclick="f({{ 5 }})">', '<p onclick="f( 5 )">'),
    ("{{ print .CommonLabels.nope }}|{{ print nil }}", "|&lt;nil&gt;"),
    (
        '<a xlink:href="{{ "javascript:x" }}" my-url="{{ "javascript:y" }}">',
        '<a xlink:href="#ZgotmplZ" my-url="#ZgotmplZ">',
    ),
    ('a < b {{ "<" }} </p><P>{{ "<" }}', "a &lt; b &lt; </p><P>&lt;"),
)
