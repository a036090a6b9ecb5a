using System.Globalization;
using System.Text;

namespace Skinnybox
{
    /// <summary>
    /// Names in a pool are anybody's: what could move a cursor, turn text around or fill a window is not shown.
    /// </summary>
    internal static class Printable
    {
        private const int Most = 2000;

        /// <summary>One line.</summary>
        public static string Line(string text)
        {
            var line = new StringBuilder();
            foreach (char each in text.Length > Most ? text.Substring(0, Most) + "..." : text)
            {
                line.Append(IsHarmless(each) ? each : '\ufffd');
            }
            return line.ToString();
        }

        /// <summary>For a control that takes "&amp;" for the mark of a key.</summary>
        public static string Caption(string text)
        {
            return Line(text).Replace("&", "&&");
        }

        private static bool IsHarmless(char each)
        {
            switch (char.GetUnicodeCategory(each))
            {
                case UnicodeCategory.Control:
                case UnicodeCategory.Format:
                case UnicodeCategory.LineSeparator:
                case UnicodeCategory.ParagraphSeparator:
                case UnicodeCategory.PrivateUse:
                    return false;
                default:
                    return true;
            }
        }
    }
}
