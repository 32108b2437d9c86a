// The rules of Prefix and ErrorOutputPrefix, each with every namespace and every ASCII letter as its value: what the
// service says, or what the two evaluate to. A second program of the same rules, with Java's own formatter in it, for
// the test in src/control/rules/prefix_tests.rs. Run from the repository's root with the JDK that the table names:
//
//     java tests/golden/keys/PrefixRules.java
//
// It writes tests/golden/keys/prefix-rules.tsv.

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class PrefixRules {
    static final ZoneId ZONE = ZoneId.of("Asia/Calcutta");
    static final ZonedDateTime ARRIVAL = Instant.parse("2026-07-13T14:05:09.364Z").atZone(ZONE);
    static final byte[] SEAL = HexFormat.of().parseHex("000102030405060708090a0b0c0d0e0f");
    static final String TYPE = "!{firehose:error-output-type}";
    /** Letters that the service was seen to refuse. */
    static final String REFUSED = "CIJPRTUVbfijloprt";

    static final String[] NAMESPACES = {"timestamp", "firehose", "partitionKeyFromQuery", "partitionKeyFromLambda", "time", "Timestamp", ""};

    /** Prefix and ErrorOutputPrefix; # is the namespace, @ the value, a{504} that many letters. */
    static final String[][] RULES = {
        {"!{#:@}/", ""},
        {"!{#:@}/", "e/"},
        {"p/", "!{#:@}/"},
        {"p/", TYPE + "/!{#:@}/"},
        {"!{#:@}/" + TYPE + "/", "e/"},
        {"a/!{#:@", "e/"},
        {"!{#@}/", "e/"},
        {"!{#:}@/", "e/"},
        {"!{#:'@'}/", "e/"},
        {"!{timestamp:yyyy}/!{#:@}/", TYPE + "/"},
        {"a{504}!{#:@}", "e/"},
        {"p/", "a{480}" + TYPE + "!{#:@}"},
    };

    static class Refusal extends Exception {
        Refusal(String message) {
            super(message);
        }
    }

    public static void main(String[] arguments) throws Exception {
        List<String> values = new ArrayList<>();
        for (char letter = 'A'; letter <= 'z'; letter++) {
            if (Character.isLetter(letter)) {
                values.add(String.valueOf(letter));
            }
        }
        values.addAll(List.of("random-string", "error-output-type", "yyyy/MM"));
        StringBuilder table = new StringBuilder("# Whether partition namespaces are allowed, # (namespace), Prefix, ErrorOutputPrefix, the values of @, what both come to (data > errors) or the message. Origin: JDK ");
        table.append(System.getProperty("java.version")).append(", PrefixRules.java\n");
        for (boolean allowed : new boolean[] {false, true}) {
            for (String namespace : NAMESPACES) {
                for (String[] rule : RULES) {
                    Map<String, List<String>> outcomes = new LinkedHashMap<>();
                    for (String value : values) {
                        String prefix = many(rule[0].replace("#", namespace).replace("@", value));
                        String error = many(rule[1].replace("#", namespace).replace("@", value));
                        String outcome;
                        try {
                            outcome = few(outcome(prefix, error, allowed)).replace("<" + value + ">", "<@>");
                        } catch (Refusal refusal) {
                            // The only message that a prefix is in.
                            String usage = "usage: ";
                            outcome = refusal.getMessage().replace(usage + prefix, usage + "{Prefix}").replace(usage + error, usage + "{ErrorOutputPrefix}");
                        }
                        outcomes.computeIfAbsent(outcome, absent -> new ArrayList<>()).add(value);
                    }
                    if (allowed && !namespace.startsWith("partition")) {
                        continue;
                    }
                    outcomes.forEach((outcome, of) -> table.append(String.join("\t", allowed ? "allowed" : "refused", namespace, rule[0], rule[1], String.join(" ", of), outcome)).append('\n'));
                }
            }
        }
        Files.writeString(Path.of("tests/golden/keys/prefix-rules.tsv"), table.toString());
    }

    static String many(String text) {
        return text.replace("a{504}", "a".repeat(504)).replace("a{480}", "a".repeat(480));
    }

    static String few(String text) {
        return text.replace("a".repeat(504), "a{504}").replace("a".repeat(480), "a{480}");
    }

    static Refusal refusal(String tail) {
        return new Refusal("The supplied prefix(es) do not satisfy the following constraint: " + tail);
    }

    static String outcome(String prefix, String error, boolean allowed) throws Exception {
        if (prefix.contains("!{") && error.isEmpty()) {
            throw refusal("ErrorOutputPrefix cannot be null or empty when Prefix contains expressions");
        }
        if (error.contains("!{") && !error.contains(TYPE)) {
            throw refusal("ErrorOutputPrefix must contain at least one occurrence of !{firehose:error-output-type}");
        }
        if (prefix.contains(TYPE)) {
            throw refusal("Prefix must not contain any occurrence of !{firehose:error-output-type}");
        }
        String data = checked(prefix, "Prefix", allowed);
        String errors = checked(error, "ErrorOutputPrefix", allowed);
        String time = DateTimeFormatter.ofPattern("yyyy/MM/dd/HH/", Locale.US).format(ARRIVAL);
        if (!prefix.contains("!{")) {
            data = prefix + time;
        }
        if (!error.contains("!{")) {
            errors = (error.isEmpty() ? prefix : error) + "processing-failed/" + time;
        }
        return data + " > " + errors;
    }

    /** What a prefix evaluates to, if it passes. */
    static String checked(String text, String member, boolean allowed) throws Exception {
        // Whole ones first, then what is in them.
        Matcher whole = Pattern.compile("!\\{([^:}]*):([^}]+)\\}").matcher(text);
        if (whole.replaceAll("").contains("!{")) {
            throw refusal("Invalid expression usage: " + text + ".Must be of the form !{<namespace>:<value>}");
        }
        whole.reset();
        StringBuilder evaluated = new StringBuilder();
        int at = 0, longest = 0, instance = 0;
        boolean partitions = false;
        while (whole.find()) {
            evaluated.append(text, at, whole.start());
            longest += whole.start() - at;
            at = whole.end();
            String value = whole.group(2);
            String result;
            int length;
            switch (whole.group(1)) {
                case "timestamp" -> {
                    DateTimeFormatter formatter = formatter(value, member);
                    result = formatter.format(ARRIVAL);
                    length = longest(value, formatter);
                }
                case "firehose" -> {
                    boolean error = member.equals("ErrorOutputPrefix");
                    if (value.equals("random-string")) {
                        result = random(error ? 1 : 0, instance++);
                        length = 11;
                    } else if (value.equals("error-output-type")) {
                        result = "processing-failed";
                        length = "format-conversion-failed".length();
                    } else {
                        throw conversion(member);
                    }
                }
                case "partitionKeyFromQuery", "partitionKeyFromLambda" -> {
                    partitions = true;
                    result = whole.group(1).charAt(16) + "<" + value + ">";
                    length = 0;
                }
                default -> throw refusal("Namespace to the left of colon (" + whole.group(1) + ") is an invalid keyword!");
            }
            evaluated.append(result);
            longest += length;
        }
        evaluated.append(text.substring(at));
        longest += text.length() - at;
        if (partitions && member.equals("ErrorOutputPrefix")) {
            throw new Refusal("Dynamic Partitioning Namespaces can't be part of an error prefix expression");
        }
        if (partitions && !allowed) {
            throw new Refusal("Dynamic Partitioning Namespaces can only be part of a prefix expression when Dynamic Partitioning is enabled.");
        }
        if (longest + (text.contains("!{") ? 0 : 14) > 512) {
            throw refusal("Length of evaluated prefix cannot be greater than 512");
        }
        if (partitions && evaluated.length() > 512) {
            // Nobody can know that before there are values.
            throw new Refusal("when evaluated: the evaluated prefix has " + evaluated.length() + " characters, 512 are allowed");
        }
        return evaluated.toString();
    }

    static Refusal conversion(String member) {
        return refusal("Invalid conversion character used in the value of the expression in " + member);
    }

    static DateTimeFormatter formatter(String value, String member) throws Refusal {
        String unquoted = value.replaceAll("'[^']*'", "");
        if (unquoted.chars().anyMatch(letter -> REFUSED.indexOf(letter) >= 0)) {
            throw conversion(member);
        }
        try {
            return DateTimeFormatter.ofPattern(value, Locale.US);
        } catch (IllegalArgumentException refused) {
            throw conversion(member);
        }
    }

    static final Map<String, Integer> LONGEST = new HashMap<>();

    /** The longest that a pattern prints in two years, tried rather than reckoned. */
    static int longest(String pattern, DateTimeFormatter formatter) {
        return LONGEST.computeIfAbsent(pattern, absent -> {
            int longest = 0;
            for (int hour = 0; hour < 2 * 366 * 24; hour++) {
                longest = Math.max(longest, formatter.format(ARRIVAL.plusNanos(hour * 3_601_001_000_000L)).length());
            }
            return longest;
        });
    }

    static String random(int parcel, int instance) throws Exception {
        MessageDigest hash = MessageDigest.getInstance("SHA-256");
        hash.update(SEAL);
        hash.update(new byte[] {(byte) parcel, 0, 0, 0});
        hash.update(("random-string " + instance).getBytes(StandardCharsets.UTF_8));
        BigInteger number = new BigInteger(1, java.util.Arrays.copyOf(hash.digest(), 16));
        StringBuilder text = new StringBuilder();
        for (int digit = 0; digit < 11; digit++) {
            BigInteger[] parts = number.divideAndRemainder(BigInteger.valueOf(62));
            text.append("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".charAt(parts[1].intValue()));
            number = parts[0];
        }
        return text.toString();
    }
}
