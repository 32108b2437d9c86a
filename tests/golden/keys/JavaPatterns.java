// What java.time.format.DateTimeFormatter prints, as tables for the tests of key expressions and as the table of zone
// names that Hydrant prints from. Run with the JDK that the tables name, from the repository's root:
//
//     java tests/golden/keys/JavaPatterns.java
//
// It writes tests/golden/keys/java-patterns.tsv, tests/golden/keys/java-zones.tsv and src/stream/prefix/zone_names.tsv.
// The zones are those of src/control/rules/time_zones.rs. The locale is en_US.

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

public class JavaPatterns {
    static final Locale LOCALE = Locale.US;
    static final String ORIGIN = "JDK " + System.getProperty("java.version") + ", Locale.US, JavaPatterns.java";

    static final String[] MOMENTS = {
        "UTC 1970-01-01T00:00:00Z",
        "UTC 1999-12-31T23:59:59.999Z",
        "UTC 2024-02-29T00:00:30Z",
        "UTC 2024-12-29T06:00:00Z",
        "UTC 2024-12-31T11:59:59.050Z",
        "UTC 2026-07-13T14:05:09.364Z",
        "UTC 2026-09-30T12:00:59.999Z",
        "UTC 2027-01-01T12:01:00.001Z",
        "UTC 2027-01-02T17:59:00Z",
        "UTC 2027-01-03T18:00:00Z",
        "UTC 2028-05-21T20:59:00Z",
        "UTC 2028-11-30T21:00:00Z",
        "UTC 9999-12-31T23:59:59.999Z",
        "America/New_York 2026-03-08T06:59:59.999Z",
        "America/New_York 2026-03-08T07:00:00Z",
        "America/New_York 2026-11-01T05:30:00Z",
        "America/New_York 2026-11-01T06:30:00Z",
        "America/St_Johns 2026-01-15T12:34:56.789Z",
        "Pacific/Pago_Pago 2026-08-01T04:05:06.007Z",
        "Pacific/Kiritimati 2026-12-31T11:00:00Z",
        "Pacific/Chatham 2026-10-01T00:00:00Z",
        "Asia/Calcutta 2026-04-30T20:00:00Z",
        "Asia/Katmandu 2026-06-06T06:06:06.060Z",
        "Australia/Lord_Howe 2026-04-04T14:59:59Z",
        "Australia/Lord_Howe 2026-04-04T15:00:00Z",
        "Europe/Dublin 2026-01-31T23:00:00Z",
        "Europe/Dublin 2026-07-31T23:00:00Z",
        "Europe/London 2026-02-01T01:02:03.004Z",
        "Africa/Casablanca 2026-02-25T10:00:00Z",
        "Africa/Casablanca 2026-08-25T10:00:00Z",
        "America/Sao_Paulo 2018-12-01T10:00:00Z",
    };

    static final String[] WHOLE = {
        "yyyy/MM/dd/HH/",
        "'year='yyyy'/month='MM'/day='dd'/hour='HH",
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "EEEE, d MMMM y 'at' h 'o''clock' a zzzz",
        "QQQQ y G",
        "dd''MM",
        "''",
        "'''T'",
        "''''",
        "'a''b'",
        "[yyyy",
        "[yyyy]-[MM[-dd]]",
        "[[[H]m]s]",
        "yyyy]",
        "[yyyy]]",
        "'",
        "yyyy'",
        "'T",
        "'a''",
        "{",
        "}",
        "#",
        "yyyy#",
        "'{}#[]'",
        "yyyyMMddHHmmssSSS",
        "yyyy.MM:dd-HH_mm+ss=n&1 9*(8)\u00e9\u65e5",
        "SSSSSSS",
        "SSSSSSSSS",
        "SSSSSSSSSS",
        "yyyyyyyyyyyyyyyyyyy",
        "yyyyyyyyyyyyyyyyyyyy",
        "AAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAA",
        "NNNNNNNNNNNNNNNNNNNN",
        "nnnnnnnnnnnnnnnnnnn",
        "ggggggggggggggggggg",
        "gggggggggggggggggggg",
        "YYYYYYYYYYYYYYYYYYY",
        "YYYYYYYYYYYYYYYYYYYY",
        "uuuuuuuuuuuuuuuuuuuu",
    };

    public static void main(String[] arguments) throws Exception {
        TreeSet<String> zones = zones();
        Files.writeString(Path.of("tests/golden/keys/java-patterns.tsv"), patterns());
        Files.writeString(Path.of("tests/golden/keys/java-zones.tsv"), moments(zones));
        Files.writeString(Path.of("src/stream/prefix/zone_names.tsv"), names(zones));
    }

    /** The rows ("Area", "Place Place") of the Rust source. */
    static TreeSet<String> zones() throws Exception {
        String source = Files.readString(Path.of("src/control/rules/time_zones.rs"));
        var rows = Pattern.compile("\"([A-Z][a-z]+)\",\\s*\"([A-Z][^\"]+)\"").matcher(source);
        TreeSet<String> zones = new TreeSet<>(List.of("UTC"));
        while (rows.find()) {
            for (String place : rows.group(2).replace("\\", " ").trim().split("\\s+")) {
                zones.add(rows.group(1) + "/" + place);
            }
        }
        return zones;
    }

    static String patterns() {
        List<ZonedDateTime> times = new ArrayList<>();
        for (String moment : MOMENTS) {
            String[] parts = moment.split(" ");
            times.add(Instant.parse(parts[1]).atZone(ZoneId.of(parts[0])));
        }
        StringBuilder table = new StringBuilder("# Pattern, and what it prints at each moment of the next line; ! where it is refused. Origin: ");
        table.append(ORIGIN).append('\n').append(String.join("\t", "", String.join("\t", MOMENTS))).append('\n');
        List<String> patterns = new ArrayList<>();
        for (char letter = 'A'; letter <= 'z'; letter++) {
            for (int count = 1; Character.isLetter(letter) && count <= 6; count++) {
                patterns.add(String.valueOf(letter).repeat(count));
            }
        }
        patterns.addAll(List.of(WHOLE));
        for (String pattern : patterns) {
            table.append(pattern).append('\t');
            try {
                DateTimeFormatter formatter = DateTimeFormatter.ofPattern(pattern, LOCALE);
                table.append(times.stream().map(formatter::format).collect(Collectors.joining("\t")));
            } catch (IllegalArgumentException refused) {
                table.append('!');
            }
            table.append('\n');
        }
        return table.toString();
    }

    static String moments(TreeSet<String> zones) {
        String[] instants = {"2026-01-15T12:00:00Z", "2026-07-15T12:00:00Z"};
        StringBuilder table = new StringBuilder("# Zone, and yyyy-MM-dd HH:mm XXX|z|zzzz|v|vvvv|O at the instants of the next line. Origin: ");
        table.append(ORIGIN).append("\n\t").append(String.join("\t", instants)).append('\n');
        DateTimeFormatter formatter = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm XXX|z|zzzz|v|vvvv|O", LOCALE);
        for (String zone : zones) {
            table.append(zone);
            for (String instant : instants) {
                table.append('\t').append(formatter.format(Instant.parse(instant).atZone(ZoneId.of(zone))));
            }
            table.append('\n');
        }
        return table.toString();
    }

    /** Names of a zone in standard time, in daylight saving time and in general, short and full; the zones that share them. */
    static String names(TreeSet<String> zones) {
        TreeMap<String, List<String>> table = new TreeMap<>();
        ZonedDateTime time = Instant.parse("2026-01-15T12:00:00Z").atZone(ZoneId.of("UTC"));
        for (String zone : zones) {
            TimeZone old = TimeZone.getTimeZone(zone);
            ZonedDateTime there = time.withZoneSameInstant(ZoneId.of(zone));
            String row = String.join("|",
                old.getDisplayName(false, TimeZone.SHORT, LOCALE), old.getDisplayName(false, TimeZone.LONG, LOCALE),
                old.getDisplayName(true, TimeZone.SHORT, LOCALE), old.getDisplayName(true, TimeZone.LONG, LOCALE),
                DateTimeFormatter.ofPattern("v", LOCALE).format(there), DateTimeFormatter.ofPattern("vvvv", LOCALE).format(there));
            table.computeIfAbsent(row, absent -> new ArrayList<>()).add(zone);
        }
        StringBuilder text = new StringBuilder("# standard short|full|daylight short|full|generic short|full, then the zones. Origin: " + ORIGIN + "\n");
        table.forEach((row, ids) -> text.append(row).append('\t').append(String.join(" ", ids)).append('\n'));
        return text.toString();
    }
}
