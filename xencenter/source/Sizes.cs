using System.Globalization;
using System.Text.RegularExpressions;

namespace Skinnybox
{
    /// <summary>Bytes, read as the dom0 plugin reads them and shown as people do.</summary>
    internal static class Sizes
    {
        public const long Mib = 1L << 20;
        private const long Least = 32 * Mib;
        private const long Greatest = 2040L << 30;
        private const string Units = " kmgt";
        private static readonly Regex Form = new Regex(@"\A([0-9]{1,15})([kmgt]?)(i?b)?\z", RegexOptions.IgnoreCase);
        private static readonly string[] Names = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };

        /// <summary>Rounded up to whole MiB. Trouble of Usage for what is no size, or none that a disk may have.</summary>
        public static long Read(string field, string text)
        {
            Match found = Form.Match(text.Trim());
            decimal size = found.Success ? Bytes(found) : 0;
            if (size < Least || size > Greatest)
            {
                throw new Trouble(
                    Printable.Line(field + ": \"" + text + "\" is no size of a disk"),
                    "A size from 32M to 2040G: bytes, or with K, M, G or T.",
                    Ending.Usage);
            }
            return (long)decimal.Ceiling(size / Mib) * Mib;
        }

        private static decimal Bytes(Match found)
        {
            decimal size = decimal.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture);
            string unit = found.Groups[2].Value.ToLowerInvariant();
            return size * (1L << 10 * Units.IndexOf(unit == "" ? " " : unit, System.StringComparison.Ordinal));
        }

        public static string Show(long bytes)
        {
            double value = bytes;
            int unit = 0;
            for (; value >= 1024 && unit < Names.Length - 1; unit++)
            {
                value /= 1024;
            }
            return value.ToString(value < 10 && unit > 0 ? "0.##" : "0.#", CultureInfo.InvariantCulture) + " " + Names[unit];
        }

        /// <summary>As it can be typed again.</summary>
        public static string Typed(long bytes)
        {
            return bytes % (1 << 30) == 0 ? (bytes >> 30) + "G" : (bytes / Mib) + "M";
        }
    }
}
