using System;
using System.Collections.Generic;
using System.Linq;

namespace Skinnybox
{
    /// <summary>What the pool or the dom0 plugin refused, as text with what to do about it.</summary>
    internal static class Explanation
    {
        private const string Again = "Reconnect to the pool in XenCenter, and try again.";

        /// <summary>{1}, {2}: parameters. Then what to do, and how the program ends.</summary>
        private static readonly Dictionary<string, Tuple<string, string, Ending>> Known =
            new Dictionary<string, Tuple<string, string, Ending>>
        {
            { "SESSION_INVALID", Of("XenCenter's session has ended.", Again) },
            { "HOST_IS_SLAVE", Of("The pool has another master now: {1}.", Again) },
            { "HOST_STILL_BOOTING", Of("The pool's master is still starting.", "Wait a minute, and try again.") },
            { "RBAC_PERMISSION_DENIED", Of("Your role may not do that: {1}.", "A pool administrator may.", Ending.Blocked) },
            { "XENAPI_MISSING_PLUGIN", Of("Skinnybox's dom0 plugin is not on the pool's master.",
                "Install it there first: docs/how-to/dom0-plugin.md.", Ending.NotFound) },
            { "UNKNOWN_XENAPI_PLUGIN_FUNCTION", Of("The dom0 plugin of this pool is of another version.",
                "Install the dom0 plugin of this version.", Ending.Unsupported) },
            { "SKINNYBOX_UNKNOWN_ARGUMENT", Of("The dom0 plugin does not know the argument {1}. It knows {2}.",
                "Install the dom0 plugin of this version.", Ending.Unsupported) },
            { "SKINNYBOX_MISSING_ARGUMENT", Of("{1} is missing.", "Say it: {1}=...", Ending.Usage) },
            { "SKINNYBOX_BAD_ARGUMENT", Of("{1}: \"{2}\" cannot be taken.", "Expected: {3}.", Ending.Usage) },
            { "SKINNYBOX_NOT_FOUND", Of("There is no {1} \"{2}\" in this pool.",
                "Somebody may have deleted it meanwhile: open the window again.", Ending.NotFound) },
            { "SKINNYBOX_AMBIGUOUS", Of("Several are called so ({1}): {2}.", "Say its UUID.", Ending.Conflict) },
            { "SKINNYBOX_NAME_TAKEN", Of("There are machines of these names already: {*}.",
                "Choose another prefix or other numbers. Nothing was made.", Ending.Conflict) },
            { "SKINNYBOX_NO_SPACE", Of("The storage is too small: {2} are needed, {3} are free.",
                "Make fewer machines or smaller overlays, or choose another storage. Nothing was made.", Ending.NoSpace) },
            { "SKINNYBOX_NO_COMMON_HOST", Of("No host sees both the storage and the master's disk.",
                "Choose a storage that the hosts with the master's see. Nothing was made.", Ending.Conflict) },
            { "SKINNYBOX_NO_DISKS_THERE", Of("That storage takes no disks.", "Choose another one.", Ending.Conflict) },
            { "SKINNYBOX_NOT_A_MASTER", Of("That disk is no master: {2}.",
                "Upload the master with `skinnybox --host xapi://...`.", Ending.NotFound) },
            { "SKINNYBOX_MASTER_WRITABLE", Of("A machine has the master's disk attached for writing: {2}.",
                "Detach it there. Nothing was made.", Ending.Conflict) },
            { "SKINNYBOX_NOT_A_LAYER", Of("That disk is no layer: {2}.",
                "Upload the layer with `skinnybox --host xapi://... create --layer`.", Ending.NotFound) },
            { "SKINNYBOX_LAYER_WRITABLE", Of("A machine has a layer's disk attached for writing: {2}.",
                "Detach it there. Nothing was made.", Ending.Conflict) },
            { "SKINNYBOX_LAYER_TWICE", Of("The layers {1} and {2} hold the same files.", "Choose one of them.", Ending.Usage) },
            { "SKINNYBOX_LAYER_NOT_ABOVE", Of("Skinnybox has made no machine of {2} with the layer {1} in this pool.",
                "`skinnybox --host xapi://... create` with both says whether they go together. Nothing was made.",
                Ending.Blocked) },
            { "SKINNYBOX_TEMPLATE_NOT_UEFI", Of("The template \"{1}\" does not boot by UEFI ({2}).",
                "Make one with Create template.", Ending.Conflict) },
            { "SKINNYBOX_TEMPLATE_HAS_DISKS", Of(
                "The template \"{1}\" has a disk of its own (number {2}): every machine would get a copy.",
                "Make one with Create template, from a template without disks.", Ending.Conflict) },
            { "SKINNYBOX_CANCELLED", Of("Cancelled: what had been made is deleted again.", "") },
            { "SKINNYBOX_NO_ANSWER", Of("The dom0 plugin lost the pool: {1}, {2}.",
                "The next batch repairs what is left of this one.") },
            { "SKINNYBOX_BUG", Of("A mistake of the dom0 plugin: {*}.", "Its syslog in dom0 has the details.", Ending.OurBug) },
            { "VM_HVM_REQUIRED", Of("Only HVM templates can be used.", "Choose another template.", Ending.Conflict) },
            { "HOST_NOT_ENOUGH_FREE_MEMORY", Of("No host has enough free memory for it.", "Stop others, or give it less.") },
            { "NO_HOSTS_AVAILABLE", Of("No host can run it now.", "Look at the hosts' state and memory.") },
        };

        public static Trouble Of(Refused refused)
        {
            IList<string> details = refused.Details;
            Tuple<string, string, Ending> found;
            if (!Known.TryGetValue(details[0], out found))
            {
                string rest = string.Join(", ", details.Skip(1).Where(each => each != ""));
                string text = details[0].StartsWith("SR_BACKEND_FAILURE", StringComparison.Ordinal)
                    ? "The storage failed"
                    : "The pool refused it";
                string why = text + ": " + details[0] + (rest == "" ? "." : " (" + rest + ").");
                return new Trouble(Printable.Line(why), "", Ending.Failed, details[0]);
            }
            return new Trouble(Filled(found.Item1, details), Filled(found.Item2, details), found.Item3, details[0]);
        }

        public static Trouble Of(NoAnswer lost)
        {
            return new Trouble("The pool does not answer: " + lost.Message, "Is it up, and connected in XenCenter?");
        }

        private static string Filled(string form, IList<string> details)
        {
            string text = form.Replace("{*}", string.Join(", ", details.Skip(1)));
            for (int at = 1; at <= 3; at++)
            {
                text = text.Replace("{" + at + "}", at < details.Count ? Shown(details, at) : "?");
            }
            return Printable.Line(text);
        }

        /// <summary>What is a number of bytes is shown as one.</summary>
        private static string Shown(IList<string> details, int at)
        {
            long bytes;
            bool isSize = details[0] == "SKINNYBOX_NO_SPACE" && long.TryParse(details[at], out bytes);
            return isSize ? Sizes.Show(long.Parse(details[at])) : details[at];
        }

        private static Tuple<string, string, Ending> Of(string text, string hint, Ending ending = Ending.Failed)
        {
            return Tuple.Create(text, hint, ending);
        }
    }
}
