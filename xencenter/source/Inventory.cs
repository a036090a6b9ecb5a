using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;

namespace Skinnybox
{
    /// <summary>Something to choose: by its UUID, since two may be called the same.</summary>
    internal sealed class Choice
    {
        public readonly string Uuid;
        public readonly string Label;

        /// <summary>UUID of the storage that it lies on, or that it says; "" where none.</summary>
        public readonly string Storage;

        /// <summary>Of a thin template: what it says of overlays, in bytes; else 0.</summary>
        public readonly long Overlay;

        /// <summary>Of a master: the digest of its image, or "".</summary>
        public readonly string Digest;

        public Choice(string uuid, string label, string storage = "", long overlay = 0, string digest = "")
        {
            Uuid = uuid;
            Label = Printable.Line(label);
            Storage = storage;
            Overlay = overlay;
            Digest = digest;
        }

        public override string ToString()
        {
            return Label;
        }
    }

    /// <summary>What a pool has that machines can be made of, read with four calls.</summary>
    internal sealed class Inventory
    {
        private const string Digest = "skinnybox:digest";
        private const string Role = "skinnybox:role";
        private const string OverlaySize = "skinnybox:overlay";
        private const string OverlayStorage = "skinnybox:sr";
        private const string OwnLayers = "skinnybox:layers";
        private const string MasterLabel = "Skinnybox master ";
        private static readonly Regex LeftOut = new Regex(@" *\[(NOBAK|NOSNAP)\]");
        private static readonly Regex Claim = new Regex(
            @"\Askinnybox is making (.+) \(([0-9a-f-]{36})\)\z", RegexOptions.Singleline);

        /// <summary>Made by create_template, in the order of their names.</summary>
        public readonly IList<Choice> ThinTemplates;

        /// <summary>All others.</summary>
        public readonly IList<Choice> OtherTemplates;

        /// <summary>Those of the others that boot by UEFI: machines can be made of them, if they have no disks.</summary>
        public readonly IList<Choice> UefiTemplates;
        public readonly IList<Choice> Masters;
        public readonly IList<Layer> Layers;
        public readonly IList<Choice> Networks;

        /// <summary>Names that machines have, or that are being made.</summary>
        public readonly ISet<string> Taken;
        private readonly IDictionary<string, Record> machines;

        public Inventory(Pool pool)
        {
            machines = pool.All("VM").Records().ToDictionary(each => each.Key, each => each.Value);
            List<Record> real = machines.Values.Where(each => !each.Flag("is_a_snapshot")).ToList();
            List<Record> templates = real.Where(each => each.Flag("is_a_template") && !IsClaim(each)).ToList();
            ThinTemplates = Sorted(templates.Where(IsThin).Select(Template));
            OtherTemplates = Sorted(templates.Where(each => !IsThin(each)).Select(Template));
            UefiTemplates = Sorted(templates.Where(each => !IsThin(each) && IsUefi(each)).Select(Template));
            Taken = new HashSet<string>(real.Where(IsMachine).Select(NameOf));
            Dictionary<string, Record> storages = pool.All("SR").Records().ToDictionary(each => each.Key, each => each.Value);
            List<Record> disks = pool.All("VDI").Records().Select(each => each.Value).ToList();
            Masters = Sorted(disks.Where(IsMaster).Select(each => Master(each, storages)));
            Layers = Layer.Of(disks);
            Networks = Sorted(pool.All("network").Records().Select(each => each.Value).Where(IsForMachines)
                .Select(each => new Choice(each.Text("uuid"), each.Text("name_label"))));
        }

        /// <summary>The digest of the master that a machine of Skinnybox boots from, or "".</summary>
        public string MasterOf(string uuid)
        {
            Record found = machines.Values.FirstOrDefault(each => each.Text("uuid") == uuid);
            return found == null ? "" : found.Object("other_config").TextOrNone(Digest);
        }

        /// <summary>The digests of the layers of a machine that the dom0 plugin made, the lowest first.</summary>
        public IList<string> LayersOf(string uuid)
        {
            Record found = machines.Values.FirstOrDefault(each => each.Text("uuid") == uuid);
            string said = found == null ? "" : found.Object("other_config").TextOrNone(OwnLayers);
            try
            {
                return said == "" ? new List<string>()
                    : Json.List(JsonReader.Read(said)).Select(each => Json.Text(Json.List(each).Last())).ToList();
            }
            catch (Trouble)
            {
                return new List<string>();
            }
            catch (InvalidOperationException)
            {
                return new List<string>();
            }
        }

        /// <summary>Of that digest, UUID or name, or null; of several that are called so, one above that master.</summary>
        public Layer FindLayer(string wanted, string master)
        {
            List<Layer> found = Layers.Where(each => each.IsCalled(wanted)).ToList();
            return found.FirstOrDefault(each => each.IsAbove(master)) ?? found.FirstOrDefault();
        }

        /// <summary>The label of a machine, or null.</summary>
        public string NameOf(string uuid)
        {
            Record found = machines.Values.FirstOrDefault(each => each.Text("uuid") == uuid);
            return found == null ? null : found.Text("name_label");
        }

        private static IList<Choice> Sorted(IEnumerable<Choice> choices)
        {
            return choices.OrderBy(each => each.Label, StringComparer.OrdinalIgnoreCase).ThenBy(each => each.Uuid).ToList();
        }

        private static bool IsThin(Record record)
        {
            return record.Object("other_config").Has(OverlaySize);
        }

        private static bool IsUefi(Record record)
        {
            return record.Object("HVM_boot_params").TextOrNone("firmware") == "uefi";
        }

        private static Choice Template(Record record)
        {
            Record marks = record.Object("other_config");
            long overlay;
            long.TryParse(marks.TextOrNone(OverlaySize), out overlay);
            return new Choice(record.Text("uuid"), record.Text("name_label"), marks.TextOrNone(OverlayStorage), overlay);
        }

        private static bool IsMachine(Record record)
        {
            return !record.Flag("is_control_domain") && (!record.Flag("is_a_template") || IsClaim(record));
        }

        /// <summary>A machine that is being made is a template until it is complete.</summary>
        private static bool IsClaim(Record record)
        {
            return Claim.IsMatch(record.Text("name_label"));
        }

        private static string NameOf(Record record)
        {
            Match claim = Claim.Match(record.Text("name_label"));
            return claim.Success ? claim.Groups[1].Value : record.Text("name_label");
        }

        private static bool IsMaster(Record record)
        {
            Record marks = record.Object("other_config");
            string role = marks.TextOrNone(Role);
            return marks.Has(Digest) && (role == "" || role == "master") && !record.Flag("is_a_snapshot");
        }

        private static Choice Master(Record record, IDictionary<string, Record> storages)
        {
            string name = NameWithout(MasterLabel, record);
            Record storage;
            storages.TryGetValue(record.Text("SR"), out storage);
            string where = storage == null ? "" : " (on " + storage.Text("name_label") + ")";
            string uuid = storage == null ? "" : storage.Text("uuid");
            return new Choice(record.Text("uuid"), name + where, uuid, 0, record.Object("other_config").Text(Digest));
        }

        /// <summary>Of a disk, without what its name only has for others to see.</summary>
        public static string NameWithout(string prefix, Record disk)
        {
            string label = LeftOut.Replace(disk.Text("name_label"), "");
            return label.StartsWith(prefix, StringComparison.Ordinal) ? label.Substring(prefix.Length) : label;
        }

        /// <summary>Not the one that joins a host with its own machines.</summary>
        private static bool IsForMachines(Record record)
        {
            return record.Object("other_config").TextOrNone("is_host_internal_management_network") != "true";
        }
    }
}
