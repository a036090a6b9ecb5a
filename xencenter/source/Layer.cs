using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;

namespace Skinnybox
{
    /// <summary>A layer of the pool. It may lie on several storages; the dom0 plugin takes the best of its disks.</summary>
    internal sealed class Layer
    {
        private const string Image = "skinnybox:layer";
        private const string Role = "skinnybox:role";
        private const string Above = "skinnybox:above:";
        private static readonly Regex DigestForm = new Regex(@"\Asha256:[0-9a-f]{64}\z");
        private const string Prefix = "Skinnybox layer ";

        /// <summary>Of its image: what it is told by, since two may be called the same.</summary>
        public readonly string Digest;
        public readonly string Label;
        private readonly IList<string> uuids;
        private readonly ISet<string> masters;

        private Layer(string digest, IList<Record> disks)
        {
            Digest = digest;
            Label = Printable.Line(Inventory.NameWithout(Prefix, disks[0]));
            uuids = disks.Select(each => each.Text("uuid")).ToList();
            masters = new HashSet<string>(disks.SelectMany(each => each.Object("other_config").Keys)
                .Where(key => key.StartsWith(Above, System.StringComparison.Ordinal))
                .Select(key => key.Substring(Above.Length)));
        }

        /// <summary>All that these disks are of, in the order of their names.</summary>
        public static IList<Layer> Of(IEnumerable<Record> disks)
        {
            return disks.Where(IsOne).OrderBy(each => each.Text("uuid"))
                .GroupBy(each => each.Object("other_config").Text(Image))
                .Select(each => new Layer(each.Key, each.ToList()))
                .OrderBy(each => each.Label, System.StringComparer.OrdinalIgnoreCase).ThenBy(each => each.Digest).ToList();
        }

        /// <summary>Whether Skinnybox made a machine of both: it looked whether they go together.</summary>
        public bool IsAbove(string master)
        {
            return masters.Contains(master);
        }

        public bool IsCalled(string wanted)
        {
            return wanted == Digest || uuids.Contains(wanted) || wanted == Label || wanted == Prefix + Label;
        }

        public override string ToString()
        {
            return Label;
        }

        /// <summary>Not its upload, nor what a snapshot took of it.</summary>
        private static bool IsOne(Record disk)
        {
            Record marks = disk.Object("other_config");
            bool isLayer = DigestForm.IsMatch(marks.TextOrNone(Image)) && marks.TextOrNone(Role) == "layer";
            return isLayer && !disk.Flag("is_a_snapshot");
        }
    }
}
