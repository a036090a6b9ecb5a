using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Skinnybox
{
    /// <summary>A JSON object whose members are read by kind. A wrong kind is Trouble, never a cast that fails.</summary>
    internal sealed class Record
    {
        private readonly IDictionary<string, object> members;

        public Record(object value)
        {
            members = value as IDictionary<string, object>;
            if (members == null)
            {
                throw Json.Unreadable("an object");
            }
        }

        public object Members
        {
            get { return members; }
        }

        public IEnumerable<string> Keys
        {
            get { return members.Keys; }
        }

        public bool Has(string key)
        {
            return members.ContainsKey(key) && members[key] != null;
        }

        public string Text(string key)
        {
            return Json.Text(Value(key));
        }

        /// <summary>"" where there is none.</summary>
        public string TextOrNone(string key)
        {
            return Has(key) ? Json.Text(members[key]) : "";
        }

        public bool Flag(string key)
        {
            object value = Value(key);
            if (!(value is bool))
            {
                throw Json.Unreadable("true or false for " + key);
            }
            return (bool)value;
        }

        /// <summary>The pool writes 64-bit integers as numbers or as strings of digits, by the version.</summary>
        public long Number(string key)
        {
            try
            {
                return Convert.ToInt64(Value(key), CultureInfo.InvariantCulture);
            }
            catch (Exception error)
            {
                if (error is FormatException || error is OverflowException || error is InvalidCastException)
                {
                    throw Json.Unreadable("an integer for " + key);
                }
                throw;
            }
        }

        public Record Object(string key)
        {
            return new Record(Value(key));
        }

        public IList<object> List(string key)
        {
            return Json.List(Value(key));
        }

        public IEnumerable<KeyValuePair<string, Record>> Records()
        {
            return members.Select(each => new KeyValuePair<string, Record>(each.Key, new Record(each.Value)));
        }

        public object Value(string key)
        {
            object value;
            if (!members.TryGetValue(key, out value))
            {
                throw Json.Unreadable(key);
            }
            return value;
        }
    }

    /// <summary>What was read, by kind.</summary>
    internal static class Json
    {
        public static string Text(object value)
        {
            string text = value as string;
            if (text == null)
            {
                throw Unreadable("a text");
            }
            return text;
        }

        public static IList<object> List(object value)
        {
            var list = value as object[];
            if (list == null)
            {
                throw Unreadable("a list");
            }
            return list;
        }

        public static Trouble Unreadable(string expected)
        {
            return new Trouble(
                Printable.Line("The pool's answer cannot be read: " + expected + " was expected."),
                "Is this the address of a XenServer or XCP-ng pool?");
        }
    }
}
