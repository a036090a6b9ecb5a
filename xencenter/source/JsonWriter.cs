using System;
using System.Collections;
using System.Globalization;
using System.Text;

namespace Skinnybox
{
    /// <summary>The few values that calls have as JSON, in ASCII.</summary>
    internal static class JsonWriter
    {
        public static string Write(object value)
        {
            var written = new StringBuilder();
            Write(value, written);
            return written.ToString();
        }

        private static void Write(object value, StringBuilder written)
        {
            var text = value as string;
            var members = value as IDictionary;
            if (text != null)
            {
                WriteText(text, written);
            }
            else if (members != null)
            {
                WriteAll(members.Keys, '{', '}', written, key =>
                {
                    WriteText((string)key, written);
                    written.Append(':');
                    Write(members[key], written);
                });
            }
            else if (value is IEnumerable)
            {
                WriteAll((IEnumerable)value, '[', ']', written, each => Write(each, written));
            }
            else if (value is double)
            {
                // xapi tells a number with a point from one without
                written.Append(((double)value).ToString("0.0###", CultureInfo.InvariantCulture));
            }
            else
            {
                written.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
            }
        }

        private static void WriteAll(IEnumerable all, char open, char close, StringBuilder written, Action<object> write)
        {
            string before = "";
            written.Append(open);
            foreach (object each in all)
            {
                written.Append(before);
                write(each);
                before = ",";
            }
            written.Append(close);
        }

        private static void WriteText(string text, StringBuilder written)
        {
            written.Append('"');
            foreach (char each in text)
            {
                if (each < ' ' || each > '~' || each == '"' || each == '\\')
                {
                    written.Append("\\u").Append(((int)each).ToString("x4", CultureInfo.InvariantCulture));
                }
                else
                {
                    written.Append(each);
                }
            }
            written.Append('"');
        }
    }
}
